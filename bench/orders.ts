// Bodies of orders for load generators.

/** A body of events, made once; only the 13 digits of each time are written anew before sending. */
export interface Body {
  bytes: Buffer
  timesAt: Int32Array
  cents: number
}
export function makeBodies(count: number, eventCount: number, keyCount: number): Body[] {
  let state = 42
  const random = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
  const regions = ['us-east', 'us-west', 'eu-west', 'eu-central', 'ap-south', 'ap-northeast', 'sa-east', 'af-south']
  return Array.from({ length: count }, () => {
    let text = ''
    let cents = 0
    const timesAt = new Int32Array(eventCount)
    for (let i = 0; i < eventCount; i++) {
      const amount = Math.floor(random() * 50_000)
      cents += amount
      timesAt[i] = text.length + '{"ts":'.length
      text += `{"ts":0000000000000,"user_id":"user_${Math.floor(random() * keyCount)}","product_id":"prod_${Math.floor(random() * 1_000)}","region":"${regions[Math.floor(random() * 8)]}","cents":${amount}}\n`
    }
    return { bytes: Buffer.from(text), timesAt, cents }
  })
}

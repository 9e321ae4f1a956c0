// A binary heap in an array that keeps equal items in the places where java.util.PriorityQueue keeps them, and so in its order.
//
// @source OpenJDK's PriorityQueue: offer, poll, and removeAll, which keeps the array's order and makes it a heap again
type IsBefore<T> = (a: T, b: T) => boolean

export function heapAdd<T>(heap: T[], item: T, isBefore: IsBefore<T>): void {
  let at = heap.length
  for (let parent = (at - 1) >>> 1; at > 0 && isBefore(item, heap[parent]); parent = (at - 1) >>> 1) {
    heap[at] = heap[parent]
    at = parent
  }
  heap[at] = item
}

/** Takes the first item of a heap that has one. */
export function heapPoll<T>(heap: T[], isBefore: IsBefore<T>): T {
  const first = heap[0]
  const last = heap.pop() as T
  if (heap.length > 0) sink(heap, 0, last, isBefore)
  return first
}

export function heapFilter<T>(heap: T[], isKept: (item: T) => boolean, isBefore: IsBefore<T>): void {
  const kept = heap.filter(isKept)
  if (kept.length === heap.length) return
  heap.splice(0, heap.length, ...kept)
  for (let at = (heap.length >>> 1) - 1; at >= 0; at--) sink(heap, at, heap[at], isBefore)
}

function sink<T>(heap: T[], from: number, item: T, isBefore: IsBefore<T>): void {
  let at = from
  const firstLeaf = heap.length >>> 1
  while (at < firstLeaf) {
    let child = 2 * at + 1
    if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++
    if (!isBefore(heap[child], item)) break
    heap[at] = heap[child]
    at = child
  }
  heap[at] = item
}

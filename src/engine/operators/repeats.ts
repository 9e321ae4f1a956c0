// Operators that give out one change for each key and batch, where each change counts: they get batches in which no key comes twice.
import { type Batch, type Column, gather, gatherAll, type SqlType } from '../../data/index.ts'
import type { Operator } from '../operator.ts'
import { KeyTable } from '../state/keyTable.ts'

/** The operator, whose batches end before the second row of a key. */
export function withoutRepeats(operator: Operator, keys: readonly number[], types: SqlType[]): Operator {
  const process = operator.process.bind(operator)
  operator.process = (batch, input) => {
    for (const part of parts(batch, keys, types)) process(part, input)
  }
  return operator
}

function* parts(batch: Batch, keys: readonly number[], types: SqlType[]): Generator<Batch> {
  const { rowCount } = batch
  if (rowCount < 2) {
    yield batch
    return
  }
  const table = new KeyTable(types)
  const ordinals = new Int32Array(rowCount)
  table.lookup(
    keys.map((key) => batch.columns[key]),
    rowCount,
    ordinals,
  )
  /** In which part a key was seen last. */
  const seenIn = new Int32Array(table.count).fill(-1)
  let from = 0
  for (let row = 0; row < rowCount; row++) {
    if (seenIn[ordinals[row]] === from) {
      yield slice(batch, from, row)
      from = row
    }
    seenIn[ordinals[row]] = from
  }
  yield from === 0 ? batch : slice(batch, from, rowCount)
}

function slice(batch: Batch, from: number, to: number): Batch {
  const rowCount = to - from
  const rows = Int32Array.from({ length: rowCount }, (_, i) => from + i)
  const picked = <C extends Column>(column: C): C => gather(column, rows, rowCount) as C
  const { columns, kinds, watermarksBefore, arrivals } = batch
  return {
    ...batch,
    rowCount,
    columns: gatherAll(columns, rows, rowCount),
    kinds: kinds && picked({ lane: 'u8', data: kinds }).data,
    watermarksBefore: watermarksBefore && picked({ lane: 'f64', data: watermarksBefore }).data,
    arrivals: arrivals && picked({ lane: 'i32', data: arrivals }).data,
  }
}

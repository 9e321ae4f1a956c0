// For tests: compression by other implementations than ours.
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { compressionsAlgorithms } from '@platformatic/kafka'

const { lz4, snappy } = compressionsAlgorithms
export const otherCodecs: [codec: number, compress: (bytes: Uint8Array) => Uint8Array][] = [
  [1, gzipSync],
  [2, (bytes) => snappy.compressSync(Buffer.from(bytes))],
  [3, (bytes) => lz4.compressSync(Buffer.from(bytes))],
  [4, zstdCompressSync],
]

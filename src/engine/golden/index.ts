// Golden files: how SQL is tested here, and by users.
export { parseExactJson } from './compare.ts'
export { type GoldenFile, goldenErrors, parseGoldenFile } from './file.ts'
export { play, rowText } from './play.ts'
export { type GoldenOutcome, goldenModes, runGoldenFile, updatedGoldenFile } from './run.ts'

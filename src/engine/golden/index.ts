// Golden files: how SQL is tested here, and by users.
export { differences, differingRows, parseExactJson } from './compare.ts'
export { type GoldenFile, goldenErrors, parseGoldenFile, sectionLineOf } from './file.ts'
export { type PipelineInput, type PipelineResult, type PipelineTest, runPipeline } from './pipeline.ts'
export { PLAY_MS_MAX, type PlayMode, type PlayOptions, type PlayResult, play, rowText } from './play.ts'
export { reportOf } from './report.ts'
export { type GoldenOutcome, goldenModes, runGoldenFile, updatedGoldenFile, updatedGoldenText } from './run.ts'

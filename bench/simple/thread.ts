// The thread of one subtask of the simple pipeline.
import { serveTasks } from '../threads.ts'
import { type PipelineReport, type PipelineTask, preparePipeline } from './pipeline.ts'

serveTasks<PipelineTask, PipelineReport>(preparePipeline)

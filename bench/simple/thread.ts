// The thread of one subtask of the simple pipeline.
import { serveTasks } from '../threads.ts'
import { type PipelineReport, preparePipeline } from './pipeline.ts'

serveTasks<{ path: string }, PipelineReport>(({ path }, links) => preparePipeline(path, links))

// Results kept for point and range look-ups, and pushed to subscribers as they change.
export type { Sink } from './channel.ts'
export { viewErrors } from './errors.ts'
export { type Filter, parseFilter, parseOrder } from './filter.ts'
export type { Key, Row } from './keys.ts'
export type { Order } from './order.ts'
export { type EncodeOptions, jsonOf, rowJson, textOf } from './text.ts'
export type { ScanPage, ScanRequest, ViewDefinition } from './view.ts'
export {
  type ChangeMeta,
  INTERVAL_DEFAULT_MS,
  INTERVAL_MAX_MS,
  type SubscribeRequest,
  type ViewSnapshot,
  type ViewStatus,
  ViewStore,
  type ViewStoreLimits,
  viewStoreLimits,
} from './views.ts'

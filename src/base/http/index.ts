// The HTTP server and the console's files. An entry of its own, not part of base/index.ts: worker threads need no web server.
export { registerConsole } from './console.ts'
export { httpErrors } from './errors.ts'
export type { RouteRole } from './guard.ts'
export {
  asHttpError,
  type HttpLimits,
  type HttpServer,
  type HttpServerOptions,
  httpLimits,
  makeHttpServer,
  type RouteInfo,
} from './server.ts'

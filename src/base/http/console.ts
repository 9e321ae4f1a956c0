// Serves the built console: a folder of files, and index.html for every other path, because the console routes within the page.
//
// Invariants
//   1. Only regular files whose real path lies in the folder are served: no dots, no encoded dots, no links out of it.
//   2. Files below assets/ have their hash in the name and never change; everything else is asked for again with its ETag.
//   3. Scripts come from this server alone: no inline script, no eval. Styles may be inline, since React and Radix set them.
import { createReadStream } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import { extname, join, sep } from 'node:path'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { httpErrors } from './errors.ts'
import { routeNotFound } from './server.ts'

const contentTypes: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.webp': 'image/webp',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.woff': 'font/woff',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
}

/** `host` was checked by the guard; older browsers do not count ws: as 'self'. */
const pagePolicy = (host: string): string =>
  [
    "default-src 'self'",
    "script-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    `connect-src 'self' ws://${host} wss://${host}`,
    "worker-src 'self' blob:",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; ')

/** Serves `folder` (the console's build) at `/`. The folder may appear later; until then pages answer 404 HTTP_CONSOLE_MISSING. */
export function registerConsole(app: FastifyInstance, folder: string): void {
  app.get('/*', { config: { role: 'public', isHidden: true } }, async (request, reply) => {
    const path = (request.params as { '*': string })['*']
    if (/^(v1|metrics)(\/|$)/.test(path)) throw routeNotFound(request)
    const file = await findFile(folder, path)
    if (file) return sendFile(request, reply, file, path)
    // A missing script must not be answered with a page: the browser would say "unexpected token <". A page may have a dot in its
    // name, as that of the topic clicks.invalid has.
    const isPage = extname(path) === '' || (request.headers.accept ?? '').includes('text/html')
    if (!isPage || path.startsWith('assets/')) throw routeNotFound(request)
    const index = await findFile(folder, 'index.html')
    if (!index) throw httpErrors('HTTP_CONSOLE_MISSING', { folder })
    return sendFile(request, reply, index, 'index.html')
  })
}

interface FoundFile {
  path: string
  sizeBytes: number
  mtimeMs: number
}

async function findFile(folder: string, path: string): Promise<FoundFile | undefined> {
  if (path.includes('\0') || path.includes('\\') || path.split('/').some((part) => part.startsWith('.'))) return undefined
  try {
    const root = await realpath(folder)
    const real = await realpath(join(root, path))
    if (!real.startsWith(root + sep)) return undefined
    const { size, mtimeMs, isFile } = await stat(real).then((found) => ({
      size: found.size,
      mtimeMs: found.mtimeMs,
      isFile: found.isFile(),
    }))
    return isFile ? { path: real, sizeBytes: size, mtimeMs } : undefined
  } catch {
    // Not there, or not readable: the same to a visitor.
    return undefined
  }
}

function sendFile(request: FastifyRequest, reply: FastifyReply, file: FoundFile, path: string): FastifyReply {
  const etag = `"${file.sizeBytes.toString(36)}-${Math.round(file.mtimeMs).toString(36)}"`
  const contentType = contentTypes[extname(file.path).toLowerCase()] ?? 'application/octet-stream'
  reply
    .header('content-type', contentType)
    .header('etag', etag)
    .header('cache-control', path.startsWith('assets/') ? 'public, max-age=31536000, immutable' : 'no-cache')
  if (contentType.startsWith('text/html')) reply.header('content-security-policy', pagePolicy(request.headers.host ?? ''))
  if (request.headers['if-none-match'] === etag) return reply.code(304).send()
  reply.header('content-length', file.sizeBytes)
  return reply.send(createReadStream(file.path))
}

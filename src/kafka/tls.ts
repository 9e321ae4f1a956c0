// The TLS server of the Kafka port. Its certificate, key and CA are files that are renewed: new connections get what is in them now, without a restart.
//
// Invariants
//   1. Only what two looks in a row have seen counts: files that are written one after the other, or in pieces, are waited for.
//   2. What cannot be read or used changes nothing: new connections get what was used before. It is told once, and again when it is mended.
//   3. A look holds up nobody: this thread is the one that writes the log, so it does not wait for other files.
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer, type TLSSocket, type TlsOptions, type Server as TlsServer } from 'node:tls'
import type { StreamError } from '../base/index.ts'
import type { KafkaLogger } from './broker.ts'
import { kafkaErrors } from './errors.ts'
import { type KafkaLimits, kafkaMetrics } from './limits.ts'

/** PEM files: with them the port speaks TLS only. */
export interface KafkaTls {
  certFile: string
  keyFile: string
  /** Whether clients show certificates, as Kafka's `ssl.client.auth`; default none. */
  clientAuth?: 'none' | 'requested' | 'required'
  /** Who signs the clients' certificates. */
  caFile?: string
  /** Kafka's `ssl.principal.mapping.rules`: the user that a certificate speaks for; default the whole subject. */
  principalRules?: string
}

interface Pems {
  cert: Buffer
  key: Buffer
  ca: Buffer | undefined
}

/**
 * A server that looks at its files again while it listens.
 *
 * @param onTrouble  called when a renewal cannot be used, with the reason, and with undefined when one is taken after that
 * @throws           KAFKA_TLS_INVALID
 */
export function createTlsServer(
  tls: KafkaTls,
  { connections, tlsHandshakeMs, tlsLookMs }: KafkaLimits,
  logger: KafkaLogger,
  onTrouble: (trouble: StreamError | undefined) => void,
  accept: (socket: TLSSocket) => void,
): TlsServer {
  const { certFile, keyFile, caFile, clientAuth = 'none' } = tls
  try {
    if (clientAuth !== 'none' && caFile === undefined) throw new Error('clients show certificates, and nothing says who may sign them')
    const pems = { cert: readFileSync(certFile), key: readFileSync(keyFile), ca: caFile === undefined ? undefined : readFileSync(caFile) }
    const options = {
      ...contextOf(pems),
      requestCert: clientAuth !== 'none',
      // One that was asked for and is bad ends the connection too, with a line in the log.
      rejectUnauthorized: clientAuth === 'required',
      handshakeTimeout: tlsHandshakeMs,
    }
    const server = createServer(options, accept)
    // Also of those that have not got through the handshake yet.
    server.maxConnections = connections
    showExpiry(pems)
    server.once('listening', () => follow(server, tls, pems, tlsLookMs, logger, onTrouble))
    return server
  } catch (error) {
    throw invalid(error)
  }
}

/** Looks at the files until the server is closed. */
function follow(
  server: TlsServer,
  tls: KafkaTls,
  first: Pems,
  lookMs: number,
  logger: KafkaLogger,
  onTrouble: (trouble: StreamError | undefined) => void,
): void {
  /** What the last look saw, and what was last taken or refused. */
  let seen = markOf(first)
  let judged = seen
  const look = async () => {
    const found = await read(tls).catch((error: Error) => error)
    if (!server.listening) return
    timer = setTimeout(look, lookMs).unref()
    const mark = markOf(found)
    const isSteady = mark === seen
    seen = mark
    if (!isSteady || mark === judged) return
    judged = mark
    try {
      if (found instanceof Error) throw found
      server.setSecureContext(contextOf(found))
      const expires = showExpiry(found)
      kafkaMetrics.renewals.inc({ result: 'taken' })
      logger.warn({ expires }, `the Kafka port uses its renewed certificate from now on; it expires ${expires}`)
      onTrouble(undefined)
    } catch (error) {
      const trouble = invalid(error)
      kafkaMetrics.renewals.inc({ result: 'refused' })
      logger.error({ code: trouble.code }, `the Kafka port goes on with the certificate from before: ${trouble.message}`)
      onTrouble(trouble)
    }
  }
  let timer = setTimeout(look, lookMs).unref()
  server.once('close', () => clearTimeout(timer))
}

async function read({ certFile, keyFile, caFile }: KafkaTls): Promise<Pems> {
  const [cert, key, ca] = await Promise.all([readFile(certFile), readFile(keyFile), caFile === undefined ? undefined : readFile(caFile)])
  return { cert, key, ca }
}

const markOf = (found: Pems | Error): string =>
  found instanceof Error ? found.message : [found.cert, found.key, found.ca].map(String).join('\0')

/** @throws Error  where OpenSSL would take a CA without a certificate, and then refuse every client */
function contextOf({ cert, key, ca }: Pems): TlsOptions {
  if (ca) new X509Certificate(ca)
  return { cert, key, ca, minVersion: 'TLSv1.2' }
}

/** Shows it among the metrics too. */
function showExpiry({ cert }: Pems): string {
  const expires = new Date(new X509Certificate(cert).validTo)
  kafkaMetrics.certificateExpires.set({ listener: 'kafka' }, expires.getTime() / 1_000)
  return expires.toISOString()
}

const invalid = (error: unknown): StreamError => kafkaErrors('KAFKA_TLS_INVALID', { reason: (error as Error).message }, { cause: error })

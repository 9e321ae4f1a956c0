// When a member's session ends.

/**
 * Calls `end` after so long, unless the returned function was called before. A turn of ours that takes longer than a session must end none: what
 * came meanwhile is still in the sockets, and timers come before them. So they are looked at once more first.
 *
 * Source: Node's event loop: timers, then sockets (poll), then `setImmediate` (check).
 */
export function afterSilence(ms: number, end: () => void): () => void {
  let isEnded = false
  const timer = setTimeout(() => setImmediate(() => isEnded || end()), ms).unref()
  return () => {
    isEnded = true
    clearTimeout(timer)
  }
}

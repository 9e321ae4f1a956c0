export function prepare(options: { console: boolean }): Promise<void>
export function buildConsole(): void

// millrace queries config and millrace config: what a query and the process are set to, and where each value comes from.
import type { ProcessSetting, QueryConfig, SettingSource } from '../../serve/contract.ts'
import { getJson, type Target } from '../client.ts'
import type { Config } from '../config.ts'
import { tableText } from '../output.ts'
import { processConfig } from '../processConfig.ts'

/** `SET, pipelines/orders.sql:2:1` */
const sourceText = ({ kind, file, line, column, name }: SettingSource): string => {
  const place = name ?? [file, line, column].filter((part) => part !== undefined).join(':')
  return kind === 'config file' ? place : [kind, place].filter(Boolean).join(' ')
}

/** What a change of a setting does. */
const changeText: Record<QueryConfig['settings'][number]['change'], string> = {
  'at once': 'taken up at once',
  restart: 'starts again, keeps state',
  'new plan': 'another plan: state may go',
  'at its beginning': 'counts without state only',
  nothing: 'no effect here',
}

export async function printQueryConfig(target: Target, id: string, { changed, json }: { changed: boolean; json: boolean }): Promise<void> {
  const { settings, ...config } = await getJson<QueryConfig>(target, `/v1/queries/${encodeURIComponent(id)}/config`)
  const shown = changed ? settings.filter(({ source }) => source.kind !== 'default') : settings
  if (json) console.log(JSON.stringify({ ...config, settings: shown }))
  else console.log(queryText({ ...config, settings: shown }))
}

function queryText({ query, file, line, column, declared, builtIns, settings }: QueryConfig): string {
  const uses = declared.filter(({ name }) => name !== query)
  const parts = [
    `${query}  ${file}:${line}:${column}`,
    uses.length > 0 && tableText(['uses', 'kind', 'declared at'], uses.map((one) => [one.name, one.kind, `${one.file}:${one.line}:${one.column}`])), // biome-ignore format: one line each
    builtIns.length > 0 && `functions: ${builtIns.join(', ')}`,
    settings.length > 0
      ? tableText(
          ['of', 'setting', 'value', 'default', 'source', 'a change'],
          settings.map(({ table, name, value, default: otherwise, source, change, note }) => [
            table ?? 'the query',
            name,
            value,
            otherwise === value ? '' : (otherwise ?? ''),
            sourceText(source),
            note ?? changeText[change],
          ]),
        )
      : 'every setting is at its default',
  ]
  return parts.filter(Boolean).join('\n\n')
}

/** @param local  of a process that would be started there; else the running one is asked */
export async function printConfig(
  target: Target,
  local: Config | undefined,
  { changed, json }: { changed: boolean; json: boolean },
): Promise<void> {
  const all = local ? processConfig(local) : await getJson<ProcessSetting[]>(target, '/v1/config')
  const settings = changed ? all.filter(({ source }) => source.kind !== 'default') : all
  if (json) for (const setting of settings) console.log(JSON.stringify(setting))
  else if (settings.length === 0) console.log('every setting is at its default')
  else
    console.log(
      tableText(
        ['setting', 'value', 'source', 'flag', 'variable', ''],
        settings.map(({ name, value, source, flag, variable, description }) => [
          name,
          value,
          sourceText(source),
          flag ?? '',
          variable ?? '',
          description,
        ]),
      ),
    )
}

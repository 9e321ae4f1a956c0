// What differs, for people: once for all modes that differ alike, and under each row that came otherwise, the columns that differ.
import { rowText } from './play.ts'
import { type GoldenOutcome, goldenModes } from './run.ts'

/** @returns lines without a final line break; empty if all is as expected */
export function reportOf({ problems }: GoldenOutcome): string {
  const byText = Map.groupBy(problems, (problem) => problemText(problem))
  return [...byText].map(([text, same]) => `${modesText(same.map(({ mode }) => mode))}\n${text}`).join('\n')
}

function modesText(modes: readonly string[]): string {
  if (modes.length === goldenModes.length) return 'in every mode'
  const batches = modes.filter((mode) => mode.startsWith('in batches'))
  if (batches.length > 1) return [...modes.filter((mode) => !batches.includes(mode)), 'in batches'].join(', ')
  return modes.join(', ')
}

function problemText({ lines, rows }: GoldenOutcome['problems'][number]): string {
  if (!rows) return lines.map((line) => `  ${line}`).join('\n')
  // In one order, whatever the order in which a mode gave them.
  const [expected, extra] = [rows.missing, rows.extra].map((list) => list.toSorted((a, b) => (rowText(a) < rowText(b) ? -1 : 1)))
  const pairs = expected.map((missing) => {
    const nearest = extra
      .map((row, at) => ({ at, same: row.filter((value, i) => rowText(value) === rowText(missing[i])).length }))
      .sort((a, b) => b.same - a.same)[0]
    return { missing, came: nearest && nearest.same * 2 >= missing.length ? extra.splice(nearest.at, 1)[0] : undefined }
  })
  return [
    ...lines.filter((line) => !/^[-+] /.test(line)),
    ...pairs.flatMap(({ missing, came }) => [
      `- ${rowText(missing)}`,
      ...(came
        ? [
            `+ ${rowText(came)}`,
            ...came.flatMap((value, i) =>
              rowText(value) === rowText(missing[i])
                ? []
                : [`    ${rows.columns[i]}: expected ${rowText(missing[i])}, got ${rowText(value)}`],
            ),
          ]
        : []),
    ]),
    ...extra.map((row) => `+ ${rowText(row)}`),
  ]
    .map((line) => `  ${line}`)
    .join('\n')
}

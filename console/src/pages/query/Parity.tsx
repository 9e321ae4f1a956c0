// What of a query, and of the tables that it reads, Flink would refuse or do otherwise; what to write so that both do the same.
import { useParity } from '../../api/figures.ts'
import { Status, Waiting } from '../../ui/parts.tsx'
import { FactTable } from './FactTable.tsx'

export function Parity({ id }: { id: string }) {
  const { data, error } = useParity(id)
  if (!data) return <Waiting refusal={error} count={2} />
  if (data.marks.length === 0)
    return <Status tone="ok">Nothing in its text, or in that of the tables it reads, that Flink would refuse or do otherwise.</Status>
  return (
    <section className="stack" aria-label="On Flink">
      <h3>On Flink</h3>
      <FactTable
        heads={['Of', 'Where', 'What Flink does', 'So that both do the same']}
        rows={data.marks.map(({ subject, file, position, message, hint }) => [
          subject,
          `${file}:${position.line}:${position.column}`,
          message,
          hint,
        ])}
      />
    </section>
  )
}

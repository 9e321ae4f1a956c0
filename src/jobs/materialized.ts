// Materialized tables read by other queries. The binder plans a scan of an upsert source, made whole by `normalize`; here it becomes what runs:
// in a project the table's own query, so that changes flow on; for a person's query the rows that the live table holds now.
import type { Field } from '../data/index.ts'
import { inputsOf, type Plan, withInputs } from '../sql/index.ts'

export const MATERIALIZED_CONNECTOR = 'materialized-table'

/** The plan with each scan of a materialized table replaced; `source` gives a plan with all columns of the table. */
export function replaceMaterialized(plan: Plan, source: (table: string, fields: Field[]) => Plan): Plan {
  if (plan.node !== 'scan')
    return withInputs(
      plan,
      inputsOf(plan).map((input) => replaceMaterialized(input, source)),
    )
  if (plan.table.options.connector !== MATERIALIZED_CONNECTOR) return plan
  const whole = source(plan.table.name, plan.table.columns)
  const projections = plan.columns.map((index) => ({ kind: 'column' as const, index, type: whole.fields[index].type }))
  return { node: 'calc', input: whole, projections, fields: plan.fields, changelog: whole.changelog }
}

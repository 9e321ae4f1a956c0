// Dead letters: events that were refused, by the rule that they broke. One is edited, checked as one types, and sent again.
import { useQueryClient } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { Wrench } from 'lucide-react'
import { useEffect, useState } from 'react'
import type { CheckResponse, DeadLetter, DeadLetterGroups, IngestResponse } from '../../../../src/serve/contract.ts'
import { ApiFailure, apiSend, topicPath } from '../../api/client.ts'
import { parseExact, stringifyExact } from '../../api/json.ts'
import { useTopics } from '../../api/queries.ts'
import { useLetters, useReason } from '../../api/topics.ts'
import type { TopicSearch } from '../../router.tsx'
import { downloadRows } from '../../ui/export.ts'
import { formatAge, formatClock, formatClockZone, formatInteger } from '../../ui/format.ts'
import { Field, FormDialog } from '../../ui/forms.tsx'
import { Panel } from '../../ui/Panel.tsx'
import { Badge, Empty, ExportButtons, useNow, Waiting } from '../../ui/parts.tsx'
import { SavedFilters, useDefaultFilter } from '../../ui/SavedFilters.tsx'
import { SqlField } from '../../ui/SqlField.tsx'

const checkPauseMs = 300

/** What a rule means, for those who meet it first. */
const ruleTexts: Record<string, string> = {
  required: 'a column that must not be NULL is missing',
  type: 'a value does not fit the type of its column',
  json: 'it is no JSON object',
  range: 'a number or time is beyond what its column holds',
  csv: 'it is no line of CSV',
  size: 'it is larger than the topic takes',
  depth: 'it is nested too deeply',
  utf8: 'it is no UTF-8',
}

export function Letters({ topic }: { topic: string }) {
  const asked: TopicSearch = useSearch({ strict: false })
  const navigate = useNavigate()
  const byItself = useDefaultFilter({ on: 'letters', subject: topic })
  const where = asked.where ?? (asked.bare ? undefined : byItself)
  const filter = (text: string): void =>
    void navigate({
      to: '.',
      search: ((old: TopicSearch) => ({
        ...old,
        where: text || undefined,
        bare: text === '' && byItself !== undefined ? true : undefined,
      })) as never,
      replace: true,
    })
  const { data, error } = useLetters(topic, where)
  const [repairing, setRepairing] = useState<DeadLetter | null>(null)
  const [isAllShown, setAllShown] = useState(false)
  const refusal = error instanceof ApiFailure ? error.error : null
  const filterError = where !== undefined && refusal?.position ? refusal : null
  if (!data && !filterError) return <Waiting refusal={error} count={5} />
  const { groups, looked, total } = filterError || !data ? { groups: [], looked: 0, total: -1 } : data
  const open = groups.reduce((sum, { openCount }) => sum + openCount, 0)
  if (total === 0)
    return <Empty title="Nothing was refused">Events that break a rule of the table come here, with their bytes as they came.</Empty>
  return (
    <div className="stack">
      <div className="filters">
        <SqlField
          label="WHERE"
          placeholder="_headers['rule'] = 'type' AND _headers['path'] = 'amount'"
          value={where ?? ''}
          onApply={filter}
          error={filterError}
        />
        <SavedFilters on="letters" subject={topic} where={where ?? ''} onApply={filter} />
      </div>
      <div className="toolbar">
        <p>
          <b>{formatInteger(open)}</b> to mend
          {looked > open && `, ${formatInteger(looked - open)} sent again`}
          {where === undefined
            ? total > looked && `; the newest ${formatInteger(looked)} of ${formatInteger(total)} are shown`
            : !filterError && `; ${formatInteger(looked)} of ${formatInteger(total)} pass the filter`}
        </p>
        <span className="toolbar-end">
          <label className="check">
            <input type="checkbox" checked={isAllShown} onChange={(event) => setAllShown(event.target.checked)} />
            Show those sent again
          </label>
          <ExportButtons
            onExport={(format) =>
              downloadRows(
                `${topic}.invalid`,
                format,
                ['partition', 'offset', 'time', 'rule', 'path', 'message', 'value'],
                groups
                  .flatMap(({ letters }) => letters)
                  .map((letter) => [
                    letter.partition,
                    letter.offset,
                    new Date(letter.timestampMs).toISOString(),
                    letter.rule,
                    letter.path,
                    letter.message,
                    letter.value,
                  ]),
              )
            }
          />
        </span>
      </div>
      {where !== undefined && looked === 0 && !filterError && (
        <Empty title="None passes the filter">Of {formatInteger(total)} that were refused. Clear WHERE to see them all.</Empty>
      )}
      {open === 0 && !isAllShown && (looked > 0 || where === undefined) && (
        <Empty title="All mended">Each refused event was sent again with success.</Empty>
      )}
      {groups
        .filter(({ openCount }) => isAllShown || openCount > 0)
        .map((group) => (
          <Group key={`${group.rule} ${group.path}`} group={group} isAllShown={isAllShown} onRepair={setRepairing} />
        ))}
      {repairing && <RepairDialog topic={topic} letter={repairing} onClose={() => setRepairing(null)} />}
    </div>
  )
}

type LetterGroup = DeadLetterGroups['groups'][number]

function Group({ group, isAllShown, onRepair }: { group: LetterGroup; isAllShown: boolean; onRepair: (letter: DeadLetter) => void }) {
  const { rule, path, count, openCount, lastMs, letters } = group
  const nowMs = useNow()
  const reason = useReason('writer')
  const shown = isAllShown ? letters : letters.filter(({ repairedMs }) => repairedMs === undefined)
  return (
    <Panel
      title={path ? `${rule}: ${path}` : rule}
      note={`${ruleTexts[rule] ? `${ruleTexts[rule]} · ` : ''}${formatInteger(openCount)} of ${formatInteger(count)} open · last ${formatAge(nowMs - lastMs)}`}
      className="letters"
    >
      <ul>
        {shown.map((letter) => (
          <li key={`${letter.partition}/${letter.offset}`}>
            <span className="letter-time" title={`${formatClockZone(letter.timestampMs)}, offset ${letter.offset}`}>
              {formatClock(letter.timestampMs).slice(5)}
            </span>
            <span className="letter-text">
              <span className="message-rule">{letter.message}</span>
              <code>{letter.value.slice(0, 400) || '(empty)'}</code>
            </span>
            {letter.repairedMs === undefined ? (
              <button type="button" className="button" disabled={reason !== undefined} title={reason} onClick={() => onRepair(letter)}>
                <Wrench size={13} aria-hidden />
                Mend…
              </button>
            ) : (
              <Badge title={formatClockZone(letter.repairedMs)}>sent again</Badge>
            )}
          </li>
        ))}
      </ul>
      {count > letters.length && <p className="quiet">The newest {letters.length} are listed.</p>}
    </Panel>
  )
}

const indented = (text: string): string => {
  try {
    return stringifyExact(parseExact(text), 2)
  } catch {
    return text
  }
}

function RepairDialog({ topic, letter, onClose }: { topic: string; letter: DeadLetter; onClose: () => void }) {
  const queries = useQueryClient()
  const isCut = letter.encoding === 'text' && letter.length > letter.value.length * 4
  // A blank more is nothing to JSON, and another record to other formats.
  const { format = 'json' } = useTopics().data?.find(({ name }) => name === topic) ?? {}
  const shown = format === 'json' ? indented(letter.value) : letter.value
  const [value, setValue] = useState(letter.encoding === 'text' ? shown : '')
  const [answer, setAnswer] = useState<{ of: string; isGood: boolean; text: string } | null>(null)

  // The front door says what it would do, a moment after the last key.
  useEffect(() => {
    let isGone = false
    const timer = setTimeout(async () => {
      try {
        const { accepted, rejected } = await apiSend<CheckResponse>('POST', `${topicPath(topic)}/check`, { value })
        const text = rejected.map(({ rule, path, message }) => `${rule}${path ? ` ${path}` : ''}: ${message}`).join('; ')
        if (!isGone) setAnswer({ of: value, isGood: accepted > 0 && rejected.length === 0, text: text || 'The front door would take it.' })
      } catch (error) {
        if (!isGone) setAnswer({ of: value, isGood: false, text: (error as Error).message })
      }
    }, checkPauseMs)
    return () => {
      isGone = true
      clearTimeout(timer)
    }
  }, [topic, value])

  const isKnown = answer?.of === value
  const send = async (): Promise<void> => {
    const { partition, offset } = letter
    const response = await apiSend<IngestResponse>(
      'POST',
      `${topicPath(topic)}/letters/repair`,
      { partition, offset, value },
      { alsoOk: 422 },
    )
    const [refused] = response.rejected
    if (response.accepted === 0)
      throw new ApiFailure(422, {
        code: refused?.rule ?? 'refused',
        message: refused?.message ?? 'It was refused.',
        hint: 'It is a dead letter of its own now; this one stays open.',
      })
    await queries.invalidateQueries({ queryKey: ['letters', topic] })
    onClose()
  }
  return (
    <FormDialog
      title={`Mend ${letter.partition}/${letter.offset} for ${topic}`}
      action="Send it again"
      className="wide"
      reason={!isKnown ? 'Checking …' : answer.isGood ? undefined : 'It would be refused.'}
      onClose={onClose}
      onSubmit={send}
    >
      <p>
        <Badge tone="bad">{letter.rule}</Badge> {letter.path && <code>{letter.path}</code>} {letter.message}
      </p>
      {isCut && <p className="warn">It had {formatInteger(letter.length)} bytes; only its beginning was kept.</p>}
      {letter.encoding === 'hex' && (
        <p className="quiet">
          Its bytes are no text: <code>{letter.value.slice(0, 120)}</code>
        </p>
      )}
      <Field label="The event as it should be">
        {(id) => <textarea id={id} value={value} onChange={(event) => setValue(event.target.value)} rows={12} spellCheck={false} />}
      </Field>
      <p className={!isKnown ? 'answer' : answer.isGood ? 'answer is-good' : 'answer is-bad'} role="status">
        {isKnown ? answer.text : 'Checking …'}
      </p>
      <p className="quiet">
        It goes through the front door as every event does. The letter stays in {topic}.invalid, marked as sent again.
      </p>
    </FormDialog>
  )
}

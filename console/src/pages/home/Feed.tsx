// The events themselves, as they come in.
import { useState } from 'react'
import { usePause, useTopicTails } from '../../api/live.ts'
import { isInvalidTopic } from '../../api/queries.ts'
import { MessageList } from '../../ui/MessageList.tsx'
import { Panel } from '../../ui/Panel.tsx'
import { Empty, PauseButton } from '../../ui/parts.tsx'

export function Feed({ topics }: { topics: readonly string[] }) {
  const [text, setText] = useState('')
  const followed = topics.filter((topic) => !isInvalidTopic(topic))
  const live = useTopicTails(followed, 300)
  const { value: view, isPaused, setPaused } = usePause(live)
  return (
    <Panel
      title="Events"
      note={followed.length > 0 ? `from ${followed.length} topics` : ''}
      className="span-8"
      actions={
        <>
          <input
            type="search"
            className="filter"
            aria-label="Filter events"
            placeholder="Filter text"
            value={text}
            onChange={(event) => setText(event.target.value)}
          />
          <PauseButton isPaused={isPaused} setPaused={setPaused} />
        </>
      }
    >
      {followed.length > 0 ? (
        <MessageList label="Newest events" messages={view.messages} filter={text} height="420px" withTopic />
      ) : (
        <Empty title="No topic yet">A CREATE TABLE in pipelines/*.sql declares one.</Empty>
      )}
    </Panel>
  )
}

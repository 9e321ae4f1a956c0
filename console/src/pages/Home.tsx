// Home: what this process does right now. For the demo: real edits of Wikipedia, replayed, and every table that follows them.
import { useEffect, useState } from 'react'
import { useAttention } from '../api/figures.ts'
import { useStats } from '../api/live.ts'
import { isInternalTopic, useTables, useTopics } from '../api/queries.ts'
import { Empty, SkeletonRows } from '../ui/parts.tsx'
import { Channels } from './home/Channels.tsx'
import { Countries } from './home/Countries.tsx'
import { isDemoTopic } from './home/demo.ts'
import { Feed } from './home/Feed.tsx'
import { FirstSteps, useBackups, useProjectTests } from './home/FirstSteps.tsx'
import { Attention, Flow, Headline } from './home/Headline.tsx'
import { Parts } from './home/Parts.tsx'
import { Sessions } from './home/Sessions.tsx'
import { Tiles } from './home/Tiles.tsx'
import { TopPages } from './home/TopPages.tsx'
import { EditsOverTime, Unpatrolled } from './home/Windows.tsx'

const PATIENCE_MS = 1_500

/** Whether what stands at the top is known, so that nothing below it moves when it comes; a server that takes long holds nothing up. */
function useLookedAt(): boolean {
  const parts = [useAttention(), useTopics(), useTables(), useProjectTests(), useBackups()]
  const isKnown = parts.every(({ isPending }) => !isPending)
  const [isLate, setLate] = useState(false)
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), PATIENCE_MS)
    return () => clearTimeout(timer)
  }, [])
  return isKnown || isLate
}

export function Home() {
  const { latest } = useStats()
  const topics = useTopics().data?.filter((topic) => !isInternalTopic(topic.name))
  const tables = useTables().data
  const isDemo = topics?.some((topic) => isDemoTopic(topic.name)) ?? false
  const isEmpty = topics?.length === 0 && tables?.length === 0
  const isLookedAt = useLookedAt()
  return (
    <div className="page home">
      <Headline isDemo={isDemo} />
      {!isLookedAt ? (
        <SkeletonRows />
      ) : (
        <>
          <Attention />
          <Tiles />
          <Flow stats={latest} />
          {!isDemo && !isEmpty && <FirstSteps />}
          {isEmpty && (
            <Empty title="Nothing runs yet" command={'npm start            # the demo\nnpx millrace dev     # your own project'}>
              Start the demo to see real events flow, or point the server to a folder with <code>pipelines/*.sql</code>.
            </Empty>
          )}
          {isDemo && !isEmpty && (
            <div className="home-grid">
              <EditsOverTime />
              <Unpatrolled />
              <Channels />
              <Countries />
              <TopPages />
              <Sessions />
            </div>
          )}
          <div className="home-grid">
            <Feed topics={topics ?? []} />
            <Parts />
          </div>
        </>
      )}
    </div>
  )
}

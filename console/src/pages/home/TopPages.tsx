// The pages with most edits. Changes with every edit; a cell that changed is marked for a second.
import { useState } from 'react'
import { useLiveTable, usePause } from '../../api/live.ts'
import { parseOrder } from '../../api/liveTable.ts'
import { DataGrid } from '../../ui/DataGrid.tsx'
import { Panel } from '../../ui/Panel.tsx'
import { PauseButton, useIsPhone, Waiting } from '../../ui/parts.tsx'

const table = 'top_pages'
const widths = {
  page: 'minmax(150px, 2.4fr)',
  channel: 'minmax(110px, 1fr)',
  edits: 'minmax(64px, 0.4fr)',
  editors: 'minmax(72px, 0.4fr)',
  delta: 'minmax(80px, 0.5fr)',
}

export function TopPages() {
  const [order, setOrder] = useState('-edits')
  const live = useLiveTable(table, { order, limit: 200 })
  const { value: view, isPaused, setPaused } = usePause(live)
  const isPhone = useIsPhone()
  return (
    <Panel
      title="Top pages"
      note="since the replay began"
      table={table}
      className="span-8"
      actions={<PauseButton isPaused={isPaused} setPaused={setPaused} newCount={live.changeCount - view.changeCount} what="change" />}
    >
      {view.hasData ? (
        <DataGrid
          label="Pages with most edits"
          columns={view.columns}
          rows={view.rows}
          shown={isPhone ? ['page', 'edits', 'delta'] : ['page', 'channel', 'edits', 'editors', 'delta']}
          widths={widths}
          order={parseOrder(order)}
          onOrder={(column) => {
            setPaused(false)
            setOrder((now) => (now === `-${column}` ? column : `-${column}`))
          }}
          height="346px"
        />
      ) : (
        <Waiting refusal={live.refusal} count={10} />
      )}
    </Panel>
  )
}

// Choropleth of the world. A chunk of its own: the shapes are loaded when a map is shown.
import { geoEqualEarth, geoPath } from 'd3-geo'
import type { FeatureCollection } from 'geojson'
import { memo, useMemo, useState } from 'react'
import { feature } from 'topojson-client'
import atlas from 'world-atlas/countries-110m.json'
import { formatInteger } from '../ui/format.ts'
import { countryDots, nameOfAlpha2WithoutNumber, numericOfAlpha2 } from './countries.ts'

export interface CountryValue {
  /** ISO 3166-1 alpha-2 */
  code: string
  name: string
  value: number
}

const widthUnits = 720
const heightUnits = 350
const shadeCount = 6

interface Shape {
  /** Numeric code, or the name where there is none. */
  id: string
  path: string
}

const drawing = (() => {
  const topology = atlas as unknown as Parameters<typeof feature>[0]
  const antarctica = '010'
  const all = feature(topology, topology.objects.countries!) as unknown as FeatureCollection
  const countries = all.features.filter((one) => one.id !== antarctica)
  const projection = geoEqualEarth().fitExtent(
    [
      [4, 4],
      [widthUnits - 4, heightUnits - 4],
    ],
    { type: 'FeatureCollection', features: countries },
  )
  const toPath = geoPath(projection).digits(1)
  const shapes: Shape[] = countries.map((one) => ({ id: String(one.id ?? one.properties?.name), path: toPath(one) ?? '' }))
  const dots = countryDots.flatMap(({ numeric, longitude, latitude }) => {
    const point = projection([longitude, latitude])
    return point ? [{ id: numeric, x: point[0], y: point[1] }] : []
  })
  return { shapes, dots }
})()

const shapeIdOf = (code: string): string =>
  numericOfAlpha2.get(code.toUpperCase()) ?? nameOfAlpha2WithoutNumber.get(code.toUpperCase()) ?? ''

/** Shade 1 (few) to 6 (most), by the logarithm: a few countries have most of the edits. 0 is none. */
export const shadeOf = (value: number, highest: number): number =>
  value <= 0 ? 0 : Math.min(shadeCount, 1 + Math.floor((Math.log1p(value) / Math.log1p(Math.max(1, highest))) * (shadeCount - 0.001)))

const ShapePath = memo(function ShapePath({ path, shade, isHovered }: { path: string; shade: number; isHovered: boolean }) {
  return <path d={path} className={isHovered ? 'is-hovered' : undefined} style={{ fill: `var(--map-${shade})` }} />
})

export default function WorldMap({
  values,
  unit,
  onHover,
}: {
  values: readonly CountryValue[]
  unit: string
  onHover?: (code: string | null) => void
}) {
  const [hoveredId, setHoveredId] = useState<string | null>(null)
  const byId = useMemo(() => new Map(values.map((one) => [shapeIdOf(one.code), one])), [values])
  const highest = Math.max(1, ...values.map((one) => one.value))
  const hovered = hoveredId === null ? undefined : byId.get(hoveredId)
  const hover = (id: string | null): void => {
    setHoveredId(id)
    onHover?.(id === null ? null : (byId.get(id)?.code ?? null))
  }
  const unknownCount = values.filter((one) => shapeIdOf(one.code) === '').length
  return (
    <div className="map">
      <div className="chart-readout">
        <span className="map-scale" aria-hidden="true">
          1{' '}
          {Array.from({ length: shadeCount }, (_, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a shade is its position
            <i key={index} style={{ background: `var(--map-${index + 1})` }} />
          ))}{' '}
          {formatInteger(highest)}
        </span>
        <span>{unit}</span>
        <span className="chart-at">
          {hovered ? (
            <>
              {hovered.name} <b>{formatInteger(hovered.value)}</b>
            </>
          ) : (
            `${values.length} countries${unknownCount > 0 ? `, ${unknownCount} not on the map` : ''}`
          )}
        </span>
      </div>
      <svg
        viewBox={`0 0 ${widthUnits} ${heightUnits}`}
        role="img"
        aria-label={`World map of ${unit}; the list beside it has the numbers`}
        onPointerLeave={() => hover(null)}
        onPointerOver={(event) => hover((event.target as Element).closest('[data-id]')?.getAttribute('data-id') ?? null)}
      >
        {drawing.shapes.map((shape) => {
          const value = byId.get(shape.id)
          return (
            <g key={shape.id} data-id={value ? shape.id : undefined}>
              <ShapePath
                path={shape.path}
                shade={shadeOf(value?.value ?? 0, highest)}
                isHovered={value !== undefined && hoveredId === shape.id}
              />
            </g>
          )
        })}
        {drawing.dots.map((dot) => {
          const value = byId.get(dot.id)
          if (!value) return null
          return (
            <circle
              key={dot.id}
              data-id={dot.id}
              cx={dot.x}
              cy={dot.y}
              r={4}
              className={hoveredId === dot.id ? 'is-hovered' : undefined}
              style={{ fill: `var(--map-${shadeOf(value.value, highest)})` }}
            />
          )
        })}
      </svg>
    </div>
  )
}

import { useEffect, useRef, useState } from 'preact/hooks';

import { absolute, counted, milliseconds } from '../format';
import type { Probe } from '../types';

/** The value below which this share of the numbers lies. */
export function quantile(numbers: number[], share: number): number | null {
  if (numbers.length === 0) return null;
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? null;
}

export interface Summary {
  probes: number;
  failed: number;
  median: number | null;
  high: number | null;
}

export function summary(probes: readonly Probe[]): Summary {
  const answered = probes.filter((probe) => probe.success === true).map((probe) => probe.latency_ms);
  return {
    probes: probes.length,
    failed: probes.filter((probe) => probe.success === false).length,
    median: quantile(answered, 0.5),
    high: quantile(answered, 0.95),
  };
}

export function inWords({ probes, failed, median, high }: Summary): string {
  if (probes === 0) return 'No probe was made yet.';
  const times =
    median === null || high === null
      ? 'none was answered'
      : `half of those that passed took at most ${milliseconds(median)}, 95% at most ${milliseconds(high)}`;
  return `${counted(probes, 'probe')}, ${failed === 0 ? 'none' : failed} failed; ${times}.`;
}

/** A round number that is no less. */
export function ceiling(number: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(number, 1)));
  return ([1, 2, 2.5, 5, 10].find((step) => step * power >= number) ?? 10) * power;
}

interface Point {
  x: number;
  y: number;
  probe: Probe;
}

interface Scales {
  points: Point[];
  top: number;
  from: number;
  to: number;
}

/** Where each probe stands in a frame of this size, the oldest first. */
function place(probes: readonly Probe[], width: number, height: number): Scales {
  const inOrder = [...probes].reverse();
  const times = inOrder.map((probe) => Date.parse(probe.checked_at));
  const from = times[0] ?? 0;
  const to = times.at(-1) ?? 0;
  const answered = inOrder.filter((probe) => probe.success === true).map((probe) => probe.latency_ms);
  const top = ceiling(Math.max(10, ...answered));
  const points = inOrder.map((probe, number) => ({
    probe,
    x: to === from ? width / 2 : (((times[number] ?? from) - from) / (to - from)) * width,
    y: height - (Math.min(probe.latency_ms, top) / top) * height,
  }));
  return { points, top, from, to };
}

/** Lines through what passed, broken where a probe failed. */
function lines(points: readonly Point[]): string {
  let path = '';
  let isDown = false;
  for (const { x, y, probe } of points) {
    if (probe.success !== true) {
      isDown = false;
      continue;
    }
    path += `${isDown ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`;
    isDown = true;
  }
  return path;
}

/** Latency in the size of a word, for lists. */
export function Sparkline({ probes }: { probes: readonly Probe[] }) {
  const [width, height] = [112, 26];
  const { points } = place(probes, width - 6, height - 6);
  return (
    <svg
      class="sparkline"
      viewBox={`-3 -3 ${width} ${height}`}
      role="img"
      aria-label={inWords(summary(probes))}
    >
      <path class="line" d={lines(points)} />
      {points
        .filter(({ probe }) => probe.success === false)
        .map(({ x, probe }) => (
          <path key={probe.checked_at} class="failed" d={`M${x.toFixed(1)} 2V${height - 6}`} />
        ))}
      {points.length === 1 && points[0]?.probe.success === true && (
        <circle class="dot" cx={points[0].x} cy={points[0].y} r="2" />
      )}
    </svg>
  );
}

const clock = new Intl.DateTimeFormat('en-CA', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const day = new Intl.DateTimeFormat('en-CA', { month: '2-digit', day: '2-digit' });

/** Latency over time: what failed is a line from top to bottom with a cross. */
export function LatencyPlot({ probes }: { probes: readonly Probe[] }) {
  const frame = useRef<HTMLDivElement>(null);
  const [outer, setOuter] = useState(720);
  const [looked, setLooked] = useState<number | null>(null);
  useEffect(() => {
    if (frame.current === null) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry !== undefined) setOuter(Math.max(240, entry.contentRect.width));
    });
    observer.observe(frame.current);
    return () => observer.disconnect();
  }, []);

  const [left, right, above, below, height] = [56, 12, 12, 26, 200];
  const width = outer - left - right;
  const { points, top, from, to } = place(probes, width, height);
  const ticks = outer < 480 ? 3 : 5;
  const longer = to - from > 24 * 3600_000;
  const told = points[looked ?? points.length - 1];
  const look = (clientX: number) => {
    const at = clientX - (frame.current?.getBoundingClientRect().left ?? 0) - left;
    let nearest = 0;
    points.forEach((point, number) => {
      const best = points[nearest];
      if (best !== undefined && Math.abs(point.x - at) < Math.abs(best.x - at)) nearest = number;
    });
    setLooked(nearest);
  };
  const step = (event: KeyboardEvent) => {
    const moves: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    const move = moves[event.key];
    if (move === undefined || points.length === 0) return;
    event.preventDefault();
    const next = (looked ?? points.length - 1) + move;
    setLooked(Math.max(0, Math.min(points.length - 1, next)));
  };
  if (probes.length === 0) return <p class="quiet">No probe was made yet.</p>;
  return (
    <figure class="plot">
      <div
        ref={frame}
        class="plot-frame"
        tabIndex={0}
        role="group"
        aria-label="Latency over time; arrow keys go from probe to probe"
        onPointerMove={(event) => look(event.clientX)}
        onPointerLeave={() => setLooked(null)}
        onKeyDown={step}
      >
        <svg
          viewBox={`0 0 ${outer} ${height + above + below}`}
          width={outer}
          height={height + above + below}
          role="img"
          aria-label={inWords(summary(probes))}
        >
          <g transform={`translate(${left} ${above})`}>
            {[0, 0.5, 1].map((share) => (
              <g key={share}>
                <path class="grid" d={`M0 ${height * (1 - share)}H${width}`} />
                <text class="axis" x={-8} y={height * (1 - share) + 4} text-anchor="end">
                  {milliseconds(top * share)}
                </text>
              </g>
            ))}
            {to > from &&
              Array.from({ length: ticks }, (_, number) => {
                const share = number / (ticks - 1);
                const at = new Date(from + (to - from) * share);
                const anchor = number === 0 ? 'start' : number === ticks - 1 ? 'end' : 'middle';
                return (
                  <text key={number} class="axis" x={width * share} y={height + 19} text-anchor={anchor}>
                    {longer ? `${day.format(at)} ${clock.format(at)}` : clock.format(at)}
                  </text>
                );
              })}
            {points
              .filter(({ probe }) => probe.success === false)
              .map(({ x, probe }) => (
                <path
                  key={probe.checked_at}
                  class="failed"
                  d={`M${x} 8V${height}M${x - 4} 0l8 8M${x + 4} 0l-8 8`}
                />
              ))}
            <path class="line" d={lines(points)} />
            {points.length <= 120 &&
              points
                .filter(({ probe }) => probe.success === true)
                .map(({ x, y, probe }) => <circle key={probe.checked_at} class="dot" cx={x} cy={y} r="2" />)}
            {looked !== null && told !== undefined && (
              <>
                <path class="cursor" d={`M${told.x} 0V${height}`} />
                {told.probe.success === true && <circle class="looked" cx={told.x} cy={told.y} r="4" />}
              </>
            )}
          </g>
        </svg>
      </div>
      <figcaption aria-live="polite">
        {told !== undefined && (
          <>
            <strong>{looked === null ? 'Latest' : absolute(told.probe.checked_at)}</strong>{' '}
            {milliseconds(told.probe.latency_ms)}, {told.probe.reason}
            {told.probe.http_status !== null && `, HTTP ${told.probe.http_status}`}
          </>
        )}
      </figcaption>
    </figure>
  );
}

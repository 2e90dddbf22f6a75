import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';

import { choose, route } from '../router';
import { compare } from '../store';

export interface Column<Item> {
  key: string;
  label: string;
  cell: (item: Item) => ComponentChildren;
  /** What it is sorted by; what is null comes last either way. Without it the column is not sorted by. */
  by?: (item: Item) => number | string | null;
  /** What is sorted by before, always upwards: amounts of one currency stay together. */
  within?: (item: Item) => string;
  /** In rem; the columns without share what is left. */
  width?: number;
  numeric?: boolean;
  /** Left out where the window is narrow. */
  wide?: boolean;
}

/** Height of a row in rem, which all rows have (style.css). */
const ROW_REM = 3.5;
const SPARE = 12;
/** A table of no more rows is in the document as a whole, wherever it is. */
const FEW = 40;

interface Props<Item> {
  /** What the table lists, for who does not see it. */
  caption: string;
  columns: Column<Item>[];
  items: readonly Item[];
  id: (item: Item) => string;
  /** The column it is sorted by at first; `-` in front turns it around. */
  sortedBy?: string;
  /** Name of the parameter of the address that keeps the order. */
  sortKey?: string;
}

/** A table of any length: of a long one only the rows in sight are in the document. */
export function Table<Item>({ caption, columns, items, id, sortedBy, sortKey = 'sort' }: Props<Item>) {
  const order = route.value.query.get(sortKey) ?? sortedBy ?? '';
  const descends = order.startsWith('-');
  const column = columns.find((one) => one.key === order.replace(/^-/, ''));
  const sorted = useMemo(() => inOrder(items, column, descends), [items, column?.key, descends]);
  const body = useRef<HTMLTableSectionElement>(null);
  const [first, last] = useRange(body, sorted.length);
  const shown = sorted.slice(first, last);

  const sortBy = (key: string) => {
    const turned = column?.key === key && !descends;
    choose({ [sortKey]: turned ? `-${key}` : key });
  };
  const wide = (one: Column<Item>) => `${one.wide ? 'wide' : ''} ${one.numeric ? 'numeric' : ''}`.trim();
  return (
    <table class="list" aria-rowcount={sorted.length + 1}>
      <caption class="unseen">{caption}</caption>
      <colgroup>
        {columns.map((one, place) => (
          <col key={one.key} class={wide(one)} style={widthOf(one.width, place)} />
        ))}
      </colgroup>
      <thead>
        <tr aria-rowindex={1}>
          {columns.map((one) => (
            <th
              key={one.key}
              scope="col"
              class={wide(one)}
              aria-sort={column?.key === one.key ? (descends ? 'descending' : 'ascending') : undefined}
            >
              {one.by === undefined ? (
                one.label
              ) : (
                <button type="button" class="sort" onClick={() => sortBy(one.key)}>
                  {one.label}
                  <span class="arrow" aria-hidden="true">
                    {column?.key !== one.key ? '' : descends ? '↓' : '↑'}
                  </span>
                </button>
              )}
            </th>
          ))}
        </tr>
      </thead>
      <tbody ref={body}>
        <Space rows={first} />
        {shown.map((item, place) => (
          <tr key={id(item)} aria-rowindex={first + place + 2}>
            {columns.map((one, number) =>
              number === 0 ? (
                <th key={one.key} scope="row" class={wide(one)}>
                  {one.cell(item)}
                </th>
              ) : (
                <td key={one.key} class={wide(one)}>
                  {one.cell(item)}
                </td>
              ),
            )}
          </tr>
        ))}
        <Space rows={sorted.length - last} />
      </tbody>
    </table>
  );
}

/** As it was asked for, and no more than its share of a narrow window. */
function widthOf(rem: number | undefined, place: number) {
  return rem === undefined ? undefined : { width: `min(${rem}rem, ${place === 0 ? 34 : 27}vw)` };
}

/** As high as the rows that are out of sight. */
function Space({ rows }: { rows: number }) {
  if (rows <= 0) return null;
  return (
    <tr class="space" aria-hidden="true" style={{ height: `${rows * ROW_REM}rem` }}>
      <td />
    </tr>
  );
}

function useRange(body: { current: HTMLTableSectionElement | null }, length: number): [number, number] {
  const [range, setRange] = useState<[number, number]>([0, Math.min(length, FEW)]);
  useLayoutEffect(() => {
    if (length <= FEW) {
      setRange([0, length]);
      return;
    }
    const measure = () => {
      if (body.current === null) return;
      const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
      const row = rem * ROW_REM;
      const top = body.current.getBoundingClientRect().top;
      // In steps, so that not every pixel of scrolling is work.
      const begin = Math.max(0, Math.floor(-top / row / SPARE) - 1) * SPARE;
      const end = Math.max(0, Math.ceil((window.innerHeight - top) / row / SPARE) + 1) * SPARE;
      const next: [number, number] = [Math.min(begin, length), Math.min(Math.max(end, begin), length)];
      setRange((now) => (now[0] === next[0] && now[1] === next[1] ? now : next));
    };
    measure();
    window.addEventListener('scroll', measure, { passive: true });
    window.addEventListener('resize', measure);
    // What is above the table may grow and shrink.
    const observer = new ResizeObserver(measure);
    observer.observe(document.body);
    return () => {
      window.removeEventListener('scroll', measure);
      window.removeEventListener('resize', measure);
      observer.disconnect();
    };
  }, [length]);
  return [Math.min(range[0], length), Math.min(range[1], length)];
}

function inOrder<Item>(items: readonly Item[], column: Column<Item> | undefined, descends: boolean): Item[] {
  const by = column?.by;
  if (by === undefined) return [...items];
  const within = column?.within;
  const sign = descends ? -1 : 1;
  const keyed = items.map((item) => ({ item, key: by(item), group: within?.(item) ?? '' }));
  keyed.sort((a, b) => {
    if (a.key === null || b.key === null) return (a.key === null ? 1 : 0) - (b.key === null ? 1 : 0);
    if (a.group !== b.group) return compare(a.group, b.group);
    if (typeof a.key === 'number' && typeof b.key === 'number') return sign * (a.key - b.key);
    return sign * compare(String(a.key), String(b.key));
  });
  return keyed.map(({ item }) => item);
}

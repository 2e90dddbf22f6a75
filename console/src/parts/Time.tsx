import { absolute, dayAndTime, fromNow, now } from '../format';

/** A moment as people say it; the whole of it on hovering, and for machines. */
export function Time({ at, exact = false }: { at: string | null; exact?: boolean }) {
  if (at === null) return <span class="quiet">–</span>;
  return (
    <time dateTime={at} title={absolute(at)}>
      {exact ? absolute(at) : fromNow(at, now.value)}
    </time>
  );
}

/** The time of day, with the day below it. */
export function Stamp({ at }: { at: string }) {
  const [day, clock] = dayAndTime(at);
  return (
    <time dateTime={at} title={fromNow(at, now.value)}>
      {clock}
      <span class="sub">{day}</span>
    </time>
  );
}

import type { LogEntry } from '../api/types';
import { moment } from '../lib/format';
import classes from './fleet.module.css';
import { plain } from './model';

const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });

/** Lines of a log, with a mark in words for what is no mere information. */
export function LogList({ lines, label }: { lines: readonly (LogEntry & { where?: string })[]; label: string }) {
  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a scrolling region must be reachable by keyboard
    <div role="region" aria-label={label} tabIndex={0} className={classes.logFrame}>
      <ul className={classes.log}>
        {lines.map((l, i) => (
          <li key={`${l.unix_millis_time}:${l.seq}:${i}`} data-tier={l.tier}>
            <time dateTime={new Date(l.unix_millis_time).toISOString()} title={moment(l.unix_millis_time)}>
              {clock.format(l.unix_millis_time)}
            </time>
            <span>
              {l.tier === 'error' && <b>Error: </b>}
              {l.tier === 'warning' && <b>Warning: </b>}
              {plain(l.text)}
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}

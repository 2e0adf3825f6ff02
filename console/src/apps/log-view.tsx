import { Group, Switch, Text } from '@mantine/core';
import { useEffect, useRef, useState } from 'react';
import { appsAPI } from '../api/apps';
import { Panel } from '../ui/panel';
import { Problem } from '../ui/problem';
import classes from './apps.module.css';
import { lastLines } from './lines';

/** How many lines of a log are kept in the page. */
const LINES = 1000;

/** What an app session writes, line by line while it writes it. `launch` marks which of its runs. */
export function LogView({ id, live, launch }: { id: string; live: boolean; launch: string }) {
  const [following, setFollowing] = useState(true);
  return (
    <Panel
      title="Log"
      hint={live ? 'What the app writes' : 'What the app wrote last'}
      padded={false}
      actions={live && <Switch size="xs" label="Follow" checked={following} onChange={(event) => setFollowing(event.currentTarget.checked)} />}
    >
      {/* Another launch, or another way of reading, begins anew. */}
      <Lines key={`${launch} ${live && following}`} id={id} follow={live && following} />
    </Panel>
  );
}

function Lines({ id, follow }: { id: string; follow: boolean }) {
  const [text, setText] = useState<string>();
  const [error, setError] = useState<unknown>();
  const [again, setAgain] = useState(0);
  const box = useRef<HTMLPreElement>(null);
  useEffect(() => {
    const abort = new AbortController();
    let whole = '';
    let drawn = 0;
    const draw = () => {
      drawn = 0;
      setText(whole);
    };
    const read = async () => {
      try {
        await appsAPI.readLog(id, { tail: LINES, follow }, abort.signal, (more) => {
          whole = lastLines(whole + more, LINES);
          // An app may write more often than anybody can read.
          if (drawn === 0) drawn = requestAnimationFrame(draw);
        });
        if (!abort.signal.aborted) setText(whole);
      } catch (cause) {
        if (!abort.signal.aborted) setError(cause);
      }
    };
    void read();
    return () => {
      cancelAnimationFrame(drawn);
      abort.abort();
    };
  }, [id, follow, again]);
  // Whoever reads further up is left there.
  const atEnd = useRef(true);
  useEffect(() => {
    if (box.current !== null && atEnd.current) box.current.scrollTop = box.current.scrollHeight;
  }, [text]);
  if (error !== undefined) {
    return (
      <div style={{ padding: 12 }}>
        <Problem
          error={error}
          title="The log could not be read"
          onRetry={() => {
            setError(undefined);
            setAgain(again + 1);
          }}
        />
      </div>
    );
  }
  if (text === undefined || text === '') {
    return (
      <Group p="md">
        <Text size="sm" c="dimmed">
          {text === undefined && !follow ? 'Reading…' : 'Nothing written yet.'}
        </Text>
      </Group>
    );
  }
  return (
    <pre
      ref={box}
      className={classes.log}
      // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a scrolling region must be reachable by keyboard
      tabIndex={0}
      role="log"
      aria-live="off"
      aria-label="Log"
      onScroll={(event) => {
        const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
        atEnd.current = scrollHeight - scrollTop - clientHeight < 24;
      }}
    >
      {text}
    </pre>
  );
}

/** The lines that an app left behind when it failed. */
export function LogTail({ text }: { text: string }) {
  return (
    <pre
      className={`${classes.log ?? ''} ${classes.tail ?? ''}`}
      // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- as above
      tabIndex={0}
      role="region"
      aria-label="The last lines of the log"
    >
      {text.trimEnd()}
    </pre>
  );
}

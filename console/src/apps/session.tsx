import { Alert, Anchor, Group, Progress, Stack, Text } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { ChevronLeft, Circle, CircleCheck, CircleX, ExternalLink, LoaderCircle, RotateCw, TriangleAlert } from 'lucide-react';
import { useCallback, useEffect } from 'react';
import { Link, useNavigate, useParams, useSearchParams } from 'react-router';
import type { AppProgress, AppSession } from '../api/types';
import { may } from '../frame/may';
import { useMe } from '../frame/me-context';
import { bytes, moment, sentence } from '../lib/format';
import { useNow } from '../lib/now';
import { Age } from '../ui/age';
import { Answer } from '../ui/answer';
import { CopyIcon } from '../ui/copy';
import { Facts } from '../ui/facts';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Panel } from '../ui/panel';
import { Status } from '../ui/status';
import classes from './apps.module.css';
import { LogTail, LogView } from './log-view';
import { adviceBeside, endOf, isLive, isMoving, millis, resourcesInWords, spanInWords, stateLook, type StepState, stepsOf, titleOf, tookInWords } from './model';
import { OpenButton } from './open-button';
import { appsQueries, useStart } from './queries';
import { SessionButtons } from './session-buttons';
import { UseBars } from './use-bars';

/** One app session: how its start goes on, then what it does, and why it ended. */
export default function SessionPage() {
  const { id = '' } = useParams();
  const me = useMe();
  const query = useQuery(appsQueries.session(id));
  const session = query.data;
  const mine = session === undefined || session.user.id === me.id;
  return (
    <PageView
      title={session === undefined ? 'App' : mine ? titleOf(session) : `${titleOf(session)} of ${session.user.name}`}
      lead={
        <Anchor component={Link} to={mine ? '/apps/mine' : '/apps/sessions'} size="sm">
          <ChevronLeft size={13} aria-hidden /> {mine ? 'My apps' : 'All app sessions'}
        </Anchor>
      }
      freshness={<Freshness updatedAt={query.dataUpdatedAt} failed={query.isError} />}
    >
      <Answer query={query} title="The app session could not be read">
        {(s) => <Whole session={s} mine={mine} />}
      </Answer>
    </PageView>
  );
}

function Whole({ session, mine }: { session: AppSession; mine: boolean }) {
  const me = useMe();
  const navigate = useNavigate();
  const client = useQueryClient();
  const changed = useCallback(() => void client.invalidateQueries({ queryKey: ['apps'] }), [client]);
  const line = useStart(session.id, session.queued_at, changed);
  useOpening(session, line.events.at(-1));
  const look = stateLook(session.state);
  const now = useNow();
  const whose = mine ? undefined : session.user.name;
  const mayLog = mine || may(me, 'apps.logs-any');
  return (
    <Stack gap="md">
      <Panel>
        <Stack gap="md">
          <Group justify="space-between" gap="sm">
            <Group gap="sm">
              <Status tone={look.tone}>{look.word}</Status>
              <Text size="sm" c="dimmed" data-testid="end">
                {endOf(session, now)}
              </Text>
            </Group>
            <Group gap="xs">
              {session.state === 'ready' && mine && <OpenButton session={session} />}
              {session.state === 'ready' && !mine && may(me, 'apps.open-any') && (
                <Anchor href={session.url} target="_blank" rel="noopener" size="sm">
                  <ExternalLink size={13} aria-hidden /> Open (is recorded)
                </Anchor>
              )}
              <SessionButtons session={session} whose={whose} size="sm" onForgotten={() => void navigate(mine ? '/apps/mine' : '/apps/sessions')} />
            </Group>
          </Group>
          <Explained session={session} />
          {(isMoving(session.state) && session.state !== 'stopping') || session.state === 'failed' ? (
            <Start events={line.events} broken={line.broken} session={session} />
          ) : null}
        </Stack>
      </Panel>
      <div className={classes.columns}>
        {mayLog && session.started_at !== null ? (
          <LogView id={session.id} live={isLive(session.state)} launch={session.queued_at} />
        ) : (
          <Panel title="Log">
            <Text size="sm" c="dimmed">
              {mayLog ? 'It has not written anything yet: it is not running.' : 'Only its owner and those with apps.logs-any read what it writes.'}
            </Text>
          </Panel>
        )}
        <Stack gap="md">
          {session.state === 'ready' && (
            <Panel title="Use" hint="Measured now, against what it may have">
              <UseBars session={session} />
            </Panel>
          )}
          <Panel title="About">
            <About session={session} mine={mine} />
          </Panel>
        </Stack>
      </div>
    </Stack>
  );
}

/** Whoever started an app goes to it as soon as it answers. Coming back with the browser's button stays here. */
function useOpening(session: AppSession, last: AppProgress | undefined) {
  const [search, setSearch] = useSearchParams();
  const wanted = search.get('open') === '1';
  const url = session.state === 'ready' ? session.url : last?.ready === true ? last.url : undefined;
  const over = session.state === 'failed' || session.state === 'stopped';
  useEffect(() => {
    if (!wanted || (url === undefined && !over)) return;
    setSearch(
      (old) => {
        const next = new URLSearchParams(old);
        next.delete('open');
        return next;
      },
      { replace: true },
    );
    if (url === undefined) return;
    // The address has to be without the wish before the page is left, or coming back would leave again.
    const timer = setTimeout(() => window.location.assign(url), 0);
    return () => clearTimeout(timer);
    // eslint-disable-next-line react-hooks/exhaustive-deps -- once: taking the wish out of the address must not cancel it
  }, [url, over]);
}

/** What happened, in words, and what can be done about it. */
function Explained({ session: s }: { session: AppSession }) {
  if (s.state === 'failed') {
    const message = sentence(s.message ?? s.advice ?? 'It ended.');
    const advice = adviceBeside(s.advice ?? '', message);
    return (
      <Alert color="red" icon={<TriangleAlert size={18} />} title={message} role="alert">
        <Stack gap="xs">
          {advice !== '' && <Text size="sm">{advice}</Text>}
          {s.exit !== undefined && !message.includes('exit code') && <Text size="sm">{exitInWords(s.exit)}</Text>}
          {s.log_tail !== undefined && <LogTail text={s.log_tail} />}
        </Stack>
      </Alert>
    );
  }
  if (s.state === 'stopped' && s.advice !== undefined) return <Text size="sm">{s.advice}</Text>;
  if (s.state === 'stopping') return <Text size="sm">{s.advice ?? 'It is asked to end, and has a moment to save what it does.'}</Text>;
  if (s.restart_needed && s.state === 'ready') {
    return (
      <Alert color="blue" icon={<RotateCw size={18} />} title="There is a newer version">
        Its entry in the catalogue has changed since this was started. Restart it when it suits you.
      </Alert>
    );
  }
  if (s.extend?.soon === true) {
    return (
      <Alert color="yellow" title="It closes soon">
        Work in it, or extend it, and it stays open.
      </Alert>
    );
  }
  return null;
}

function exitInWords(exit: NonNullable<AppSession['exit']>): string {
  if (exit.oom === true) return 'It was ended because it used more memory than it may have.';
  if (exit.signal !== undefined) return `It was ended by the signal ${exit.signal}.`;
  return exit.code === null ? 'Nobody saw how it ended.' : `It ended with the code ${exit.code}.`;
}

const marks: Record<StepState, typeof Circle> = { done: CircleCheck, now: LoaderCircle, todo: Circle, failed: CircleX };
const words: Record<StepState, string> = { done: 'Done:', now: 'Now:', todo: 'To do:', failed: 'Failed:' };

function Start({ events, broken, session }: { events: readonly AppProgress[]; broken: boolean; session: AppSession }) {
  const now = useNow();
  const last = events.at(-1) ?? session.progress;
  const steps = stepsOf(events.length === 0 ? [session.progress] : events, now);
  const failed = session.state === 'failed';
  return (
    <Stack gap="xs">
      {!failed && (
        <>
          <Progress value={last.progress} size="sm" aria-label={`${last.progress} percent of the start`} />
          <Text size="sm" role="status" aria-live="polite">
            {progressInWords(last)}
          </Text>
        </>
      )}
      <ol className={classes.steps} aria-label="Steps of the start">
        {steps.map((s) => {
          const Mark = marks[s.state];
          return (
            <li key={s.name} className={classes.step} data-state={s.state} aria-current={s.state === 'now' ? 'step' : undefined}>
              <span className={classes.mark}>
                <Mark size={18} aria-label={words[s.state]} />
              </span>
              <span>{s.label}</span>
              <span className={classes.took}>{s.took === undefined || s.state === 'todo' ? '' : tookInWords(s.took)}</span>
            </li>
          );
        })}
      </ol>
      {broken && !failed && (
        <Text size="xs" c="dimmed">
          The line to the server is broken. The start goes on; this page connects again by itself.
        </Text>
      )}
    </Stack>
  );
}

function progressInWords(p: AppProgress): string {
  const place = p.position === undefined || p.position === 0 ? '' : ` You are number ${p.position}.`;
  const done = p.total === undefined || p.total === 0 ? '' : ` ${bytes(p.done ?? 0)} of ${bytes(p.total)}.`;
  return `${sentence(p.message)}${place}${done}`;
}

function About({ session: s, mine }: { session: AppSession; mine: boolean }) {
  const options = Object.entries(s.options ?? {});
  const idle = millis(s.idle_timeout ?? '');
  return (
    <Facts
      items={[
        ...(mine ? [] : ([['Belongs to', s.user.name]] as const)),
        ['Started', <Age key="started" time={s.started_at} never="not yet" />],
        ...(s.ready_at !== null && s.started_at !== null ? ([['Answered after', tookInWords(new Date(s.ready_at).getTime() - new Date(s.started_at).getTime())]] as const) : []),
        ['Used last', <Age key="used" time={s.last_activity} never="not yet" />],
        ...(s.visitor === undefined ? [] : ([['Used by a helper', <span key="visitor">{s.visitor.name}, <Age time={s.visitor.at} /></span>]] as const)),
        ...(s.ended_at !== null ? ([['Ended', moment(s.ended_at)]] as const) : []),
        ['Closes', s.expires_at !== null ? moment(s.expires_at) : idle > 0 ? `after ${spanInWords(idle)} without use` : 'not by itself'],
        ['May use', resourcesInWords(s.resources)],
        ...options.map(([name, value]) => [name, String(value)] as const),
        ...(s.image === undefined ? [] : ([['Image', <span key="image" className="code">{s.image}</span>]] as const)),
        ...(s.image_digest === undefined ? [] : ([['Digest', <span key="digest" className="code">{s.image_digest}</span>]] as const)),
        ['Runs by', s.driver],
        ...(s.address === undefined ? [] : ([['Listens at', <span key="address" className="code">{s.address}</span>]] as const)),
        [
          'Address',
          <Group key="url" gap={4} wrap="nowrap">
            <span className="code">{s.url}</span>
            <CopyIcon value={s.url} what="the address" />
          </Group>,
        ],
      ]}
    />
  );
}

import { ActionIcon, Anchor, Button, Group, Progress, Stack, Text } from '@mantine/core';
import { X } from 'lucide-react';
import { Link } from 'react-router';
import { advice } from '../api/errors';
import { bytes } from '../lib/format';
import { Panel } from '../ui/panel';
import { Status } from '../ui/status';
import { type Job, sending, useSending } from './sending';

/** What is on its way, byte by byte, and what became of it. */
export function SendingList() {
  const jobs = useSending();
  if (jobs.length === 0) return null;
  const ended = jobs.some((j) => j.state !== 'sending' && j.state !== 'storing');
  return (
    <Panel
      title="On the way"
      actions={
        ended && (
          <Button size="compact-sm" variant="subtle" color="gray" onClick={() => sending.clear()}>
            Clear finished
          </Button>
        )
      }
    >
      <Stack gap="sm" aria-live="polite">
        {jobs.map((j) => (
          <Line key={j.id} job={j} />
        ))}
      </Stack>
    </Panel>
  );
}

function Line({ job }: { job: Job }) {
  const percent = job.size === 0 ? (job.state === 'sending' ? 0 : 100) : (job.sent / job.size) * 100;
  const running = job.state === 'sending' || job.state === 'storing';
  return (
    <div>
      <Group justify="space-between" gap="xs" wrap="nowrap">
        <Text size="sm" fw={550} truncate>
          {job.name}
        </Text>
        <Group gap="xs" wrap="nowrap">
          <State job={job} />
          {running && (
            <ActionIcon size="sm" aria-label={`Cancel ${job.name}`} onClick={() => sending.cancel(job.id)}>
              <X size={14} />
            </ActionIcon>
          )}
        </Group>
      </Group>
      {running && <Progress value={percent} size="sm" mt={4} aria-label={`${job.name}: ${Math.round(percent)} percent sent`} />}
      {running && (
        <Text size="xs" c="dimmed" mt={2}>
          {bytes(job.sent)} of {bytes(job.size)}
        </Text>
      )}
      {job.state === 'queued' && (
        <Text size="xs" c="dimmed">
          Stored safely. It goes to the hub as soon as the hub takes it:{' '}
          <Anchor component={Link} to="/results/uploads" size="xs">
            see the queue
          </Anchor>
          .
        </Text>
      )}
      {job.error !== undefined && (
        <Text size="xs" c="red">
          {job.error.message} {advice(job.error)}
          {job.error.requestId !== undefined && ` Request id ${job.error.requestId}.`}
        </Text>
      )}
    </div>
  );
}

function State({ job }: { job: Job }) {
  switch (job.state) {
    case 'sending':
      return <Status tone="busy">sending</Status>;
    case 'storing':
      return <Status tone="busy">being stored</Status>;
    case 'done':
      return <Status tone="good">{job.destination === 'hub' ? 'delivered' : 'stored'}</Status>;
    case 'queued':
      return <Status tone="idle">waits for the hub</Status>;
    case 'failed':
      return <Status tone="bad">not stored</Status>;
  }
}

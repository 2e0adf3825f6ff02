import { Autocomplete, Button, Group, Modal, SegmentedControl, Stack, Text, TextInput } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { X } from 'lucide-react';
import { useState } from 'react';
import { queries } from '../api/queries';
import { useDraft } from '../lib/drafts';
import { bytes, count } from '../lib/format';
import { Drop } from './drop';
import { type Destination, sending } from './sending';
import { tagProblem } from './tag';

interface Props {
  opened: boolean;
  destination: Destination;
  project: string;
  /** Files that were dropped on the page before the dialog opened. */
  dropped: readonly File[];
  onClose: () => void;
}

const noTarget = { project: '', analysis: '', tag: '' };

/** Asks where files go, then sends them. */
export function UploadDialog(props: Props) {
  return (
    <Modal opened={props.opened} onClose={props.onClose} title="Upload files" size="lg">
      {props.opened && <Form {...props} />}
    </Modal>
  );
}

function Form({ destination: first, project, dropped, onClose }: Props) {
  const client = useQueryClient();
  const projects = useQuery(queries.projects());
  const [destination, setDestination] = useState<Destination>(first);
  const [draft, setDraft, clear] = useDraft('upload', { ...noTarget, project });
  const [files, setFiles] = useState<readonly File[]>(dropped);
  const hub = destination === 'hub';
  const target = hub ? draft.analysis.trim() : draft.project.trim();
  const ready = target !== '' && files.length > 0 && (hub || tagProblem(draft.tag) === undefined);
  const total = files.reduce((sum, f) => sum + f.size, 0);
  const known = (projects.data?.items ?? []).map((p) => p.id);

  const start = () => {
    if (!ready) return;
    void sending.send(files, { destination, id: target, tag: draft.tag.trim() }, () => {
      void client.invalidateQueries({ queryKey: ['results'] });
    });
    clear();
    onClose();
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        start();
      }}
    >
      <Stack gap="md">
        <SegmentedControl
          fullWidth
          aria-label="Where to"
          value={destination}
          onChange={(value) => setDestination(value)}
          data={[
            { value: 'local', label: 'Keep at this site' },
            { value: 'hub', label: 'Send to the hub' },
          ]}
        />
        {hub ? (
          <TextInput
            label="Analysis"
            description="The id of the analysis that this is the final result of. The hub keeps it there."
            placeholder="e.g. 4f2c1e0a-…"
            data-autofocus
            required
            value={draft.analysis}
            onChange={(event) => setDraft({ ...draft, analysis: event.currentTarget.value })}
          />
        ) : (
          <Group grow align="flex-start" gap="md">
            <Autocomplete
              label="Project"
              description="Its analyses can read it"
              placeholder="Project id"
              data-autofocus
              required
              data={known}
              value={draft.project}
              onChange={(value) => setDraft({ ...draft, project: value })}
              comboboxProps={{ withinPortal: true }}
            />
            <TextInput
              label="Tag"
              description="Optional, to find it by"
              placeholder="e.g. model-v2"
              error={tagProblem(draft.tag)}
              value={draft.tag}
              onChange={(event) => setDraft({ ...draft, tag: event.currentTarget.value })}
            />
          </Group>
        )}
        <Drop
          label="Drop files here, or"
          hint="They are sent one after the other, and hashed on arrival."
          onFiles={(more) => setFiles([...files, ...more])}
        />
        {files.length > 0 && (
          <Stack gap={4}>
            <Text size="xs" c="dimmed">
              {count(files.length, 'file')}, {bytes(total)}
            </Text>
            {files.map((f, i) => (
              <Group key={`${f.name}-${i}`} justify="space-between" wrap="nowrap" gap="xs">
                <Text size="sm" truncate>
                  {f.name}
                </Text>
                <Button
                  size="compact-xs"
                  variant="subtle"
                  color="gray"
                  leftSection={<X size={12} aria-hidden />}
                  onClick={() => setFiles(files.filter((_, at) => at !== i))}
                >
                  {bytes(f.size)}
                </Button>
              </Group>
            ))}
          </Stack>
        )}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" disabled={!ready}>
            {files.length > 1 ? `Send ${files.length} files` : 'Send'}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

import { Badge, Button, Drawer, Group, Stack, Text, TextInput, Title } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Download, ShieldCheck, Tag, Trash2 } from 'lucide-react';
import { useState } from 'react';
import { lodge } from '../api/lodge';
import type { ResultFile } from '../api/types';
import { useMe } from '../frame/me-context';
import { may } from '../frame/may';
import { bytes, moment } from '../lib/format';
import { Confirm } from '../ui/confirm';
import { CopyIcon } from '../ui/copy';
import { Facts } from '../ui/facts';
import { Problem } from '../ui/problem';
import { Status } from '../ui/status';
import { downloadPath, verify } from './preview';
import { PreviewView } from './preview-view';
import { tagProblem } from './tag';
import classes from './results.module.css';

/** One file: what is inside, where it is from, and proof that it is intact. */
export function FileDrawer({ file, onClose }: { file: ResultFile | undefined; onClose: () => void }) {
  return (
    <Drawer opened={file !== undefined} onClose={onClose} position="right" size="lg" title={file?.filename ?? ''}>
      {file !== undefined && <FileView key={file.id} file={file} onGone={onClose} />}
    </Drawer>
  );
}

function FileView({ file, onGone }: { file: ResultFile; onGone: () => void }) {
  const me = useMe();
  const client = useQueryClient();
  const [asking, setAsking] = useState(false);
  const remove = useMutation({
    mutationFn: () => lodge.deleteFile(file.id),
    onSuccess: async () => {
      setAsking(false);
      onGone();
      await client.invalidateQueries({ queryKey: ['results'] });
      notifications.show({ message: `${file.filename} is deleted.`, color: 'pine' });
    },
  });
  const check = useMutation({ mutationFn: () => verify(file) });
  return (
    <Stack gap="lg">
      <Group gap="xs">
        <Button
          component="a"
          href={downloadPath(file)}
          download={baseName(file.filename)}
          leftSection={<Download size={16} aria-hidden />}
        >
          Download
        </Button>
        <Button
          variant="default"
          leftSection={<ShieldCheck size={16} aria-hidden />}
          onClick={() => check.mutate()}
          loading={check.isPending}
        >
          Verify
        </Button>
        <span role="status">
          {check.data === true && <Status tone="good">what arrives is what was stored</Status>}
          {check.data === false && <Status tone="bad">the bytes differ from the checksum</Status>}
        </span>
      </Group>
      {check.error !== null && <Problem error={check.error} title="The file could not be verified" />}
      <Facts
        items={[
          ['Project', file.project_id],
          ['Stored by', file.client_id],
          ['Stored', moment(file.created_at)],
          ['Size', `${bytes(file.size)} (${file.size.toLocaleString('en')} bytes)`],
          ['Type', file.content_type],
          [
            'SHA-256',
            <Group key="sha" gap={4} wrap="nowrap" align="flex-start">
              <span className={classes.hash}>{file.sha256}</span>
              <CopyIcon value={file.sha256} what="the checksum" />
            </Group>,
          ],
          [
            'Id',
            <Group key="id" gap={4} wrap="nowrap">
              <span className={classes.hash}>{file.id}</span>
              <CopyIcon value={file.id} what="the id" />
            </Group>,
          ],
          [
            'Tags',
            file.tags.length === 0 ? (
              <Text key="none" size="sm" c="dimmed">
                none yet
              </Text>
            ) : (
              <Group key="tags" gap={4}>
                {file.tags.map((t) => (
                  <Badge key={t} color="pine">
                    {t}
                  </Badge>
                ))}
              </Group>
            ),
          ],
        ]}
      />
      {may(me, 'results.write', file.project_id) && <TagForm file={file} />}
      <div>
        <Title order={2} fz="md" mb="xs">
          Preview
        </Title>
        <PreviewView file={file} />
      </div>
      {may(me, 'results.delete', file.project_id) && (
        <div>
          <Button variant="subtle" color="red" leftSection={<Trash2 size={15} aria-hidden />} onClick={() => setAsking(true)}>
            Delete this file
          </Button>
        </div>
      )}
      <Confirm
        opened={asking}
        title="Delete the file"
        type={baseName(file.filename)}
        action="Delete"
        busy={remove.isPending}
        error={remove.error}
        onConfirm={() => remove.mutate()}
        onClose={() => setAsking(false)}
      >
        It goes away for every analysis of {file.project_id}, with its tags. It cannot be undone.
      </Confirm>
    </Stack>
  );
}

function TagForm({ file }: { file: ResultFile }) {
  const client = useQueryClient();
  const [name, setName] = useState('');
  const ready = name.trim() !== '' && tagProblem(name) === undefined;
  const add = useMutation({
    mutationFn: (tag: string) => lodge.tag(file, tag),
    onSuccess: async (_, tag) => {
      await client.invalidateQueries({ queryKey: ['results'] });
      setName('');
      notifications.show({ message: `Tagged “${tag}”.`, color: 'pine' });
    },
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (ready) add.mutate(name.trim());
      }}
    >
      <Group align="flex-start" gap="xs">
        <TextInput
          label="Add a tag"
          placeholder="e.g. model-v2"
          error={tagProblem(name)}
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        <Button
          type="submit"
          variant="default"
          mt={22}
          loading={add.isPending}
          disabled={!ready}
          leftSection={<Tag size={15} aria-hidden />}
        >
          Tag
        </Button>
      </Group>
      {add.error !== null && <Problem error={add.error} title="The tag was not added" />}
    </form>
  );
}

function baseName(filename: string): string {
  return filename.split(/[/\\]/).pop() ?? filename;
}

import { Badge, Button, Drawer, Group, Stack, Text, TextInput, Title } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Download, ShieldCheck, Tag } from 'lucide-react';
import { useState } from 'react';
import { lodge } from '../api/lodge';
import type { ResultFile } from '../api/types';
import { useMe } from '../frame/me-context';
import { may } from '../frame/may';
import { bytes, moment } from '../lib/format';
import { CopyIcon } from '../ui/copy';
import { Facts } from '../ui/facts';
import { Problem } from '../ui/problem';
import { Status } from '../ui/status';
import { downloadPath, verify } from './preview';
import { PreviewView } from './preview-view';
import classes from './results.module.css';

/** One file: what is inside, where it is from, and proof that it is intact. */
export function FileDrawer({ file, onClose }: { file: ResultFile | undefined; onClose: () => void }) {
  return (
    <Drawer opened={file !== undefined} onClose={onClose} position="right" size="lg" title={file?.filename ?? ''}>
      {file !== undefined && <FileView key={file.id} file={file} />}
    </Drawer>
  );
}

function FileView({ file }: { file: ResultFile }) {
  const me = useMe();
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
    </Stack>
  );
}

function TagForm({ file }: { file: ResultFile }) {
  const client = useQueryClient();
  const [name, setName] = useState('');
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
        if (name.trim() !== '') add.mutate(name.trim());
      }}
    >
      <Group align="flex-end" gap="xs">
        <TextInput
          label="Add a tag"
          placeholder="e.g. model-v2"
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        <Button
          type="submit"
          variant="default"
          loading={add.isPending}
          disabled={name.trim() === ''}
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

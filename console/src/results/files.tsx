import { Badge, Box, Button, Group, NativeSelect, NavLink, Stack, Table, TextInput, UnstyledButton } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { FileUp, FolderOpen, Search, Tag } from 'lucide-react';
import { useState } from 'react';
import { lodge } from '../api/lodge';
import { queries } from '../api/queries';
import type { Project } from '../api/types';
import { useMe } from '../frame/me-context';
import { may } from '../frame/may';
import { offsetOf, useFilters } from '../lib/address';
import { bytes, count, short } from '../lib/format';
import { Age } from '../ui/age';
import { Answer } from '../ui/answer';
import { CopyIcon } from '../ui/copy';
import { Empty } from '../ui/empty';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Paging } from '../ui/paging';
import { Panel } from '../ui/panel';
import { DataTable, Row } from '../ui/table';
import { Drop } from './drop';
import { FileDrawer } from './file-drawer';
import classes from './results.module.css';
import { SendingList } from './sending-list';
import { UploadDialog } from './upload-dialog';

const LIMIT = 50;
const defaults = { project: '', tag: '', q: '', offset: '0', file: '', do: '', to: 'local' };

/** Every stored file that the caller may read, by project and tag. */
export default function Files() {
  const me = useMe();
  const [filters, change] = useFilters(defaults);
  const [dropped, setDropped] = useState<readonly File[]>([]);
  const { project, tag, q } = filters;
  const offset = offsetOf(filters.offset);
  const projects = useQuery(queries.projects());
  const tags = useQuery(queries.tags(project));
  const files = useQuery({
    queryKey: ['results', 'files', { project, tag, q, offset }],
    queryFn: () => lodge.files({ project, tag, q, limit: LIMIT, offset }),
    placeholderData: keepPreviousData,
  });
  const onPage = files.data?.items.find((f) => f.id === filters.file);
  // A link to a file that is on another page, or outside the filters.
  const linked = useQuery({
    queryKey: ['results', 'file', filters.file],
    queryFn: async () => (await lodge.files({ q: filters.file, limit: 1 })).items.find((f) => f.id === filters.file) ?? null,
    enabled: filters.file !== '' && files.data !== undefined && onPage === undefined,
  });
  const write = may(me, 'results.write');
  const upload = (more: readonly File[]) => {
    setDropped(more);
    change({ do: 'upload' });
  };
  const filtered = project !== '' || tag !== '' || q !== '';
  return (
    <PageView
      title="Files"
      lead="What analyses and people stored at this site. Each file has a checksum, taken while it arrived."
      freshness={<Freshness updatedAt={files.dataUpdatedAt} failed={files.isError} />}
      actions={
        write && (
          <Button leftSection={<FileUp size={16} aria-hidden />} onClick={() => upload([])}>
            Upload files
          </Button>
        )
      }
    >
      {write && (
        <Box visibleFrom="sm">
          <Drop
          label="Drop files here to store them, or"
          hint={project === '' ? 'You are asked for the project.' : `They go to ${project}.`}
          onFiles={upload}
          />
        </Box>
      )}
      <SendingList />
      <div className={classes.columns}>
        <nav className={classes.projects} aria-label="Projects and tags">
          <Panel title="Projects" padded={false}>
            <div style={{ padding: 8 }}>
              <Answer query={projects} title="The projects could not be read">
                {(data) => <ProjectTree projects={data.items} tags={tags.data ?? []} project={project} tag={tag} change={change} />}
              </Answer>
            </div>
          </Panel>
        </nav>
        <Panel padded={false}>
          <Group p="sm" gap="xs">
            <NameSearch key={q} value={q} onChange={(next) => change({ q: next })} />
            <NativeSelect
              hiddenFrom="md"
              aria-label="Project"
              value={project}
              onChange={(event) => change({ project: event.currentTarget.value, tag: '' })}
              data={[{ value: '', label: 'All projects' }, ...(projects.data?.items ?? []).map((p) => p.id)]}
            />
            <NativeSelect
              hiddenFrom="md"
              aria-label="Tag"
              disabled={project === ''}
              value={tag}
              onChange={(event) => change({ tag: event.currentTarget.value })}
              data={[{ value: '', label: 'All tags' }, ...(tags.data ?? [])]}
            />
            {filtered && (
              <Button variant="subtle" color="gray" onClick={() => change({ project: '', tag: '', q: '' })}>
                Clear filters
              </Button>
            )}
          </Group>
          <Answer query={files} title="The files could not be read">
            {(page) =>
              page.items.length === 0 ? (
                <Empty title={filtered ? 'No file matches' : 'No files yet'} icon={FolderOpen}>
                  {filtered
                    ? 'Clear the filters to see all files that you may read.'
                    : 'Analyses store files through PUT /results/local. Drop one above to begin, or run lodge put FILE.'}
                </Empty>
              ) : (
                <>
                  <DataTable
                    label="Files"
                    head={['Name', 'Project', 'Tags', { label: 'Size', align: 'right' }, 'SHA-256', 'Stored']}
                    minWidth={760}
                  >
                    {page.items.map((f) => (
                      <Row key={f.id}>
                        <Table.Td>
                          <UnstyledButton
                            fz="sm"
                            fw={550}
                            c="pine"
                            className={classes.file}
                            title={f.filename}
                            onClick={() => change({ file: f.id, offset: filters.offset })}
                          >
                            {f.filename}
                          </UnstyledButton>
                        </Table.Td>
                        <Table.Td className="nowrap">{f.project_id}</Table.Td>
                        <Table.Td>
                          <Group gap={4}>
                            {f.tags.map((t) => (
                              <Badge key={t} color="pine">
                                {t}
                              </Badge>
                            ))}
                          </Group>
                        </Table.Td>
                        <Table.Td ta="right" className="nowrap">
                          {bytes(f.size)}
                        </Table.Td>
                        <Table.Td>
                          <Group gap={2} wrap="nowrap">
                            <span className={classes.hash}>{short(f.sha256, 10)}</span>
                            <CopyIcon value={f.sha256} what={`the checksum of ${f.filename}`} />
                          </Group>
                        </Table.Td>
                        <Table.Td>
                          <Age time={f.created_at} />
                        </Table.Td>
                      </Row>
                    ))}
                  </DataTable>
                  <Paging
                    total={page.total}
                    limit={LIMIT}
                    offset={offset}
                    noun="files"
                    onChange={(next) => change({ offset: String(next) })}
                  />
                </>
              )
            }
          </Answer>
        </Panel>
      </div>
      <FileDrawer
        file={filters.file === '' ? undefined : (onPage ?? linked.data ?? undefined)}
        onClose={() => change({ file: '', offset: filters.offset })}
      />
      <UploadDialog
        opened={filters.do === 'upload'}
        destination={filters.to === 'hub' ? 'hub' : 'local'}
        project={project}
        dropped={dropped}
        onClose={() => {
          setDropped([]);
          change({ do: '', to: 'local', offset: filters.offset });
        }}
      />
    </PageView>
  );
}

function NameSearch({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const later = useDebouncedCallback(onChange, 300);
  return (
    <TextInput
      aria-label="Search by name"
      placeholder="Search by name"
      leftSection={<Search size={15} aria-hidden />}
      defaultValue={value}
      onChange={(event) => later(event.currentTarget.value)}
      style={{ flex: '1 1 200px' }}
    />
  );
}

function ProjectTree(props: {
  projects: readonly Project[];
  tags: readonly string[];
  project: string;
  tag: string;
  change: (next: { project?: string; tag?: string }) => void;
}) {
  const { projects, tags, project, tag, change } = props;
  return (
    <Stack gap={1}>
      <NavLink
        component="button"
        className={classes.project}
        label="All projects"
        active={project === ''}
        onClick={() => change({ project: '', tag: '' })}
      />
      {projects.map((p) => (
        <div key={p.id}>
          <NavLink
            component="button"
            className={classes.project}
            label={p.id}
            description={`${count(p.files, 'file')} · ${bytes(p.size)}`}
            active={project === p.id && tag === ''}
            onClick={() => change({ project: p.id, tag: '' })}
          />
          {project === p.id &&
            tags.map((name) => (
              <NavLink
                key={name}
                component="button"
                className={classes.project}
                pl={26}
                leftSection={<Tag size={13} aria-hidden />}
                label={name}
                active={tag === name}
                onClick={() => change({ tag: name })}
              />
            ))}
        </div>
      ))}
    </Stack>
  );
}

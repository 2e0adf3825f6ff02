import { Alert, Anchor, Button, Group, NativeSelect, Stack, TagsInput, Text, Textarea, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { keepPreviousData, useMutation, useQuery } from '@tanstack/react-query';
import { Play, TriangleAlert } from 'lucide-react';
import { useState } from 'react';
import { Link, useNavigate, useParams, useSearchParams } from 'react-router';
import { workflowsAPI } from '../api/workflows';
import { Answer } from '../ui/answer';
import { PageView } from '../ui/page';
import { Panel } from '../ui/panel';
import { Problem } from '../ui/problem';
import { type Data, type InputValue, typeWord, type Workflow } from './document';
import type { Finding } from './finding';
import { workflowQueries } from './query';
import { givenBy, givenFor, hintOf, inputValues, valueProblem, volumeValue } from './value';

/** Starts a run: a form made from the workflow's inputs. */
export default function Start() {
  const { id = '' } = useParams();
  const [search] = useSearchParams();
  const version = Number(search.get('version') ?? 0) || 0;
  const again = search.get('again') ?? '';
  const workflow = useQuery({ ...workflowQueries.document('workflow', id, version), enabled: again === '' });
  const before = useQuery({ ...workflowQueries.run(again), enabled: again !== '' });
  // A run is repeated with the workflow as it was then.
  if (again !== '') {
    return before.data === undefined ? (
      <PageView title="Run again">
        <Answer query={before} title="The run could not be read">
          {() => null}
        </Answer>
      </PageView>
    ) : (
      <Form workflow={before.data.workflow} values={before.data.inputValues ?? []} description={before.data.description ?? ''} />
    );
  }
  return workflow.data?.type === 'workflow' ? (
    <Form key={workflow.data.timestamp} workflow={workflow.data} values={[]} description="" />
  ) : (
    <PageView title="Start a run">
      <Answer query={workflow} title="The workflow could not be read">
        {() => null}
      </Answer>
    </PageView>
  );
}

function Form({ workflow, values, description: words }: { workflow: Workflow; values: readonly InputValue[]; description: string }) {
  const navigate = useNavigate();
  const inputs = workflow.component.inputs ?? [];
  const [given, setGiven] = useState(() => ({ ...givenFor(inputs), ...givenBy(values) }));
  const [description, setDescription] = useState(words);
  const [tags, setTags] = useState<string[]>([]);
  const [tried, setTried] = useState(false);
  const sent = inputValues(inputs, given);
  const job = { type: 'job', workflow, inputValues: sent };
  const [asked] = useDebouncedValue(JSON.stringify(job), 350);
  const check = useQuery({
    queryKey: ['dry-run', asked],
    queryFn: ({ signal }) => workflowsAPI.validate(JSON.parse(asked), signal),
    placeholderData: keepPreviousData,
    gcTime: 10_000,
  });
  const findings = check.data?.findings ?? [];
  const problems = inputs.filter((d) => valueProblem(d, given[d.name] ?? '') !== undefined);
  // What is only not given yet, the fields say themselves.
  const open = (f: Finding) => f.code === 'missing' && f.pointer === '/inputValues';
  const others = findings.filter((f) => targetOf(f, sent, inputs) === undefined && !open(f) && f.severity !== 'warning');
  const run = useMutation({
    mutationFn: () => workflowsAPI.submit(workflow, sent, description.trim(), tags),
    onSuccess: (uid) => void navigate(`/workflows/runs/${uid}`),
  });
  const name = workflow.name ?? 'unnamed';
  return (
    <PageView
      title={`Run ${name}`}
      lead={
        <>
          {workflow.description ?? 'Give what it needs, and start it.'}{' '}
          {workflow.uid !== undefined && (
            <Anchor component={Link} to={`/workflows/library/workflow/${workflow.uid}`} size="sm" underline="always">
              Version {workflow.version?.current ?? 1} in {workflow.workspace}
            </Anchor>
          )}
        </>
      }
    >
      <form
        noValidate
        onSubmit={(e) => {
          e.preventDefault();
          setTried(true);
          if (problems.length === 0) run.mutate();
        }}
      >
        <Stack gap="lg" maw={720}>
          <Panel title="Inputs">
            {inputs.length === 0 ? (
              <Text size="sm" c="dimmed">
                It needs nothing from you.
              </Text>
            ) : (
              <Stack gap="md">
                {inputs.map((d) => (
                  <Field
                    key={d.name}
                    input={d}
                    workspace={workflow.workspace}
                    value={given[d.name] ?? ''}
                    problem={tried ? (valueProblem(d, given[d.name] ?? '') ?? findings.find((f) => targetOf(f, sent, inputs) === d.name)?.message) : undefined}
                    onChange={(value) => setGiven({ ...given, [d.name]: value })}
                  />
                ))}
              </Stack>
            )}
          </Panel>
          <Panel title="About this run">
            <Stack gap="md">
              <TextInput label="Description" placeholder="What this run is for" value={description} onChange={(e) => setDescription(e.currentTarget.value)} />
              <TagsInput label="Tags" placeholder={tags.length === 0 ? 'Press Enter after each' : ''} value={tags} onChange={setTags} />
            </Stack>
          </Panel>
          {others.length > 0 && (
            <Alert color="yellow" icon={<TriangleAlert size={18} />} title="It cannot run as it is">
              <Stack gap={4}>
                {others.map((f, i) => (
                  <Text key={i} size="sm">
                    {f.message}
                  </Text>
                ))}
                {workflow.uid !== undefined && (
                  <Anchor component={Link} to={`/workflows/library/edit/workflow/${workflow.uid}`} size="sm">
                    Open it in the editor
                  </Anchor>
                )}
              </Stack>
            </Alert>
          )}
          {run.error !== null && <Problem error={run.error} title="The run was not started" />}
          <Group>
            <Button type="submit" leftSection={<Play size={16} aria-hidden />} loading={run.isPending} disabled={others.length > 0}>
              Start the run
            </Button>
            <Text size="xs" c="dimmed" role="status">
              {check.isFetching ? 'Being checked…' : check.data?.valid === true ? 'It can run.' : ''}
            </Text>
          </Group>
        </Stack>
      </form>
    </PageView>
  );
}

/** The input that a finding about a run is about: one whose value is wrong, or one without. */
function targetOf(finding: Finding, sent: readonly InputValue[], inputs: readonly Data[]): string | undefined {
  const value = /\/inputValues\/(\d+)/.exec(finding.pointer)?.[1];
  if (value !== undefined) return sent[Number(value)]?.target;
  const input = /^\/workflow\/component\/inputs\/(\d+)$/.exec(finding.pointer)?.[1];
  return input === undefined ? undefined : inputs[Number(input)]?.name;
}

interface FieldProps {
  input: Data;
  workspace: string;
  value: string;
  problem: string | undefined;
  onChange: (value: string) => void;
}

function Field({ input, workspace, value, problem, onChange }: FieldProps) {
  const common = { label: input.name, description: hintOf(input) ?? `A ${input.mediatype?.[0] ?? typeWord(input.type)}`, error: problem, value };
  switch (input.type) {
    case 'parameter_array':
      return <Textarea {...common} description={`${hintOf(input) ?? 'A list'}; one element a line`} autosize minRows={3} maxRows={16} onChange={(e) => onChange(e.currentTarget.value)} />;
    case 'env_secret':
      return <SecretField {...common} workspace={workspace} onChange={onChange} />;
    case 'volume':
      return <VolumeField {...common} workspace={workspace} onChange={onChange} />;
    case 'artifact':
      return <TextInput {...common} error={valueProblem(input, '')} disabled />;
    default:
      return <TextInput {...common} inputMode={input.mediatype?.includes('integer') === true ? 'numeric' : undefined} onChange={(e) => onChange(e.currentTarget.value)} />;
  }
}

interface ChoiceProps {
  label: string;
  description: string;
  error: string | undefined;
  value: string;
  workspace: string;
  onChange: (value: string) => void;
}

function SecretField({ workspace, onChange, ...common }: ChoiceProps) {
  const secrets = useQuery(workflowQueries.secrets(workspace));
  return (
    <div>
      <NativeSelect {...common} onChange={(e) => onChange(e.currentTarget.value)} data={[{ value: '', label: 'choose a secret' }, ...(secrets.data ?? [])]} />
      {secrets.data?.length === 0 && <NoneYet what="secret" workspace={workspace} tab="secrets" />}
    </div>
  );
}

function VolumeField({ workspace, onChange, ...common }: ChoiceProps) {
  const volumes = useQuery(workflowQueries.volumes(workspace));
  return (
    <div>
      <NativeSelect
        {...common}
        onChange={(e) => onChange(e.currentTarget.value)}
        data={[{ value: '', label: 'choose a volume' }, ...(volumes.data ?? []).map((v) => ({ value: volumeValue(v.volume), label: v.volume.name }))]}
      />
      {volumes.data?.length === 0 && <NoneYet what="volume" workspace={workspace} tab="volumes" />}
    </div>
  );
}

function NoneYet({ what, workspace, tab }: { what: string; workspace: string; tab: string }) {
  return (
    <Text size="xs" c="dimmed" mt={4}>
      {workspace} has no {what} yet. Its administrators add one{' '}
      <Anchor component={Link} to={`/workflows/workspaces/${workspace}?tab=${tab}`} size="xs" underline="always">
        there
      </Anchor>
      .
    </Text>
  );
}

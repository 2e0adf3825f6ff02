import { Table, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { KeyRound } from 'lucide-react';
import { useState } from 'react';
import { lodge } from '../api/lodge';
import { queries } from '../api/queries';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Paging } from '../ui/paging';
import { DataTable, Row } from '../ui/table';

const LIMIT = 25;

/** Everything that a person can do, and by which rule. */
export function Rights({ user, action = '', group = '' }: { user: string; action?: string; group?: string }) {
  const [offset, setOffset] = useState(0);
  const actions = useQuery(queries.actions());
  const rights = useQuery({
    queryKey: ['access', 'explain', { user, action, group, offset }],
    queryFn: () => lodge.explain({ user, action, group, limit: LIMIT, offset }),
  });
  const help = new Map(actions.data?.items.map((a) => [a.action, a.help]));
  return (
    <Answer query={rights} title="The rights could not be read">
      {(answer) => {
        const page = answer.rights;
        if (page === undefined || page.items.length === 0) {
          return (
            <Empty title="No rights" icon={KeyRound}>
              {answer.rule ? `The rule: ${answer.rule}.` : 'Give a role that has permissions; it takes effect at once.'}
            </Empty>
          );
        }
        return (
          <>
            <DataTable label="Rights" head={['May', 'On', 'By']}>
              {page.items.map((r) => (
                <Row key={`${r.action} ${r.group} ${r.rule}`}>
                  <Table.Td>
                    <Text size="sm" fw={550} className="code">
                      {r.action}
                    </Text>
                    <Text size="xs" c="dimmed">
                      {help.get(r.action)}
                    </Text>
                  </Table.Td>
                  <Table.Td>{r.group === '*' ? 'everywhere' : r.group}</Table.Td>
                  <Table.Td>{r.rule}</Table.Td>
                </Row>
              ))}
            </DataTable>
            <Paging total={page.total} limit={LIMIT} offset={offset} noun="rights" onChange={setOffset} />
          </>
        );
      }}
    </Answer>
  );
}

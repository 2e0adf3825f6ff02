import { Anchor, Button, Table, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { keepPreviousData, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { MonitorSmartphone } from 'lucide-react';
import { Link } from 'react-router';
import { sessionEnded } from '../api/http';
import { lodge } from '../api/lodge';
import type { Session } from '../api/types';
import { useMe } from '../frame/me-context';
import { may } from '../frame/may';
import { browser } from '../lib/format';
import { Age, Countdown } from '../ui/age';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Paging } from '../ui/paging';
import { Problem } from '../ui/problem';
import { Status } from '../ui/status';
import { DataTable, Row } from '../ui/table';

interface Props {
  /** Everybody's sessions instead of one's own. */
  all?: boolean;
  /** One person's sessions. */
  user?: string;
  limit: number;
  offset: number;
  onOffset: (offset: number) => void;
}

/** Browser sessions with the button that ends them. */
export function SessionTable({ all = false, user = '', limit, offset, onOffset }: Props) {
  const sessions = useQuery({
    queryKey: ['access', 'sessions', { all, user, limit, offset }],
    queryFn: () => lodge.sessions({ all, user, limit, offset }),
    placeholderData: keepPreviousData,
  });
  return (
    <Answer query={sessions} title="The sessions could not be read">
      {(page) =>
        page.items.length === 0 ? (
          <Empty title="No sessions" icon={MonitorSmartphone}>
            Each login with a browser is a session. Nobody is logged in here now.
          </Empty>
        ) : (
          <>
            <DataTable label="Sessions" head={['Who', 'Where', 'Last used', 'Ends', { label: 'Actions', hidden: true }]}>
              {page.items.map((s) => (
                <SessionRow key={s.id} session={s} />
              ))}
            </DataTable>
            <Paging total={page.total} limit={limit} offset={offset} noun="sessions" onChange={onOffset} />
          </>
        )
      }
    </Answer>
  );
}

function SessionRow({ session }: { session: Session }) {
  const me = useMe();
  const client = useQueryClient();
  const revoke = useMutation({
    mutationFn: () => lodge.revokeSession(session.id),
    onSuccess: async () => {
      if (session.current) {
        sessionEnded();
        return;
      }
      await client.invalidateQueries({ queryKey: ['access'] });
      notifications.show({ message: 'The session is ended.', color: 'pine' });
    },
  });
  const mine = session.user_id === me.id;
  return (
    <Row>
      <Table.Td>
        {may(me, 'users.read') ? (
          <Anchor component={Link} to={`/access/people/${encodeURIComponent(session.user_id)}`} size="sm" fw={550}>
            {session.user_name}
          </Anchor>
        ) : (
          <Text size="sm">{session.user_name}</Text>
        )}
        {session.current && (
          <div>
            <Status tone="good">this browser</Status>
          </div>
        )}
      </Table.Td>
      <Table.Td>
        <Text size="sm" title={session.user_agent}>
          {browser(session.user_agent)}
        </Text>
        <Text size="xs" c="dimmed">
          {session.address}
        </Text>
      </Table.Td>
      <Table.Td>
        <Age time={session.seen_at} />
      </Table.Td>
      <Table.Td>
        <Countdown time={session.expires_at} />
      </Table.Td>
      <Table.Td ta="right">
        {(mine || may(me, 'sessions.write')) && (
          <Button
            size="compact-sm"
            variant="default"
            loading={revoke.isPending}
            onClick={() => revoke.mutate()}
            aria-label={`End session of ${session.user_name} on ${browser(session.user_agent)}`}
          >
            End session
          </Button>
        )}
        {revoke.error !== null && <Problem error={revoke.error} title="The session goes on" />}
      </Table.Td>
    </Row>
  );
}

import { ActionIcon, Button, Menu } from '@mantine/core';
import { MoreHorizontal, RotateCw, Square, Timer, Trash2 } from 'lucide-react';
import { useState } from 'react';
import type { AppSession } from '../api/types';
import { Confirm } from '../ui/confirm';
import { Problem } from '../ui/problem';
import { useSessionActions } from './actions';
import { isLive, spanInWords, titleOf } from './model';

interface Props {
  session: AppSession;
  /** Whose it is, where it is another's. */
  whose?: string | undefined;
  size?: 'sm' | 'compact-sm';
  onForgotten?: () => void;
}

/** Stop, extend, restart and forget, each only while it makes sense. */
export function SessionButtons({ session, whose, size = 'compact-sm', onForgotten }: Props) {
  const { stop, extend, restart, forget, error } = useSessionActions(session);
  const [asking, setAsking] = useState<'stop' | 'forget' | 'restart'>();
  const title = titleOf(session);
  const ended = session.state === 'stopped' || session.state === 'failed';
  const more = session.extend;
  const close = () => setAsking(undefined);
  return (
    <>
      {session.state === 'ready' && more !== undefined && (
        <Button
          size={size}
          variant="default"
          leftSection={<Timer size={15} aria-hidden />}
          disabled={more.left_seconds <= 0}
          loading={extend.isPending}
          onClick={() => extend.mutate()}
          aria-label={`Extend ${title}`}
          title={more.left_seconds > 0 ? `By ${spanInWords(more.step_seconds * 1000)}; ${spanInWords(more.left_seconds * 1000)} are left` : 'It was extended as far as it may be'}
        >
          Extend
        </Button>
      )}
      {isLive(session.state) && (
        <Button
          size={size}
          variant="default"
          color="red"
          leftSection={<Square size={14} aria-hidden />}
          loading={stop.isPending}
          onClick={() => (session.state === 'ready' ? setAsking('stop') : stop.mutate())}
          aria-label={session.state === 'ready' ? `Stop ${title}` : `Cancel ${title}`}
        >
          {session.state === 'ready' ? 'Stop' : 'Cancel'}
        </Button>
      )}
      {ended && whose === undefined && (
        <Button size={size} leftSection={<RotateCw size={15} aria-hidden />} loading={restart.isPending} onClick={() => restart.mutate()} aria-label={`${session.state === 'failed' ? 'Try' : 'Start'} again: ${title}`}>
          {session.state === 'failed' ? 'Try again' : 'Start again'}
        </Button>
      )}
      {(session.state === 'ready' || ended) && (
        <Menu position="bottom-end">
          <Menu.Target>
            <ActionIcon size={size === 'sm' ? 'lg' : 'md'} variant="default" aria-label={`More for ${title}`}>
              <MoreHorizontal size={15} />
            </ActionIcon>
          </Menu.Target>
          <Menu.Dropdown>
            {session.state === 'ready' && (
              <Menu.Item leftSection={<RotateCw size={15} aria-hidden />} onClick={() => setAsking('restart')}>
                Restart…
              </Menu.Item>
            )}
            {ended && (
              <Menu.Item color="red" leftSection={<Trash2 size={15} aria-hidden />} onClick={() => setAsking('forget')}>
                Forget…
              </Menu.Item>
            )}
          </Menu.Dropdown>
        </Menu>
      )}
      {error !== null && <Problem error={error} title={`${title}: not done`} />}
      <Confirm
        opened={asking === 'stop'}
        title={whose === undefined ? `Stop ${title}` : `Stop ${title} of ${whose}`}
        action="Stop it"
        busy={stop.isPending}
        error={stop.error}
        onConfirm={() => stop.mutate(undefined, { onSuccess: close })}
        onClose={close}
      >
        {whose === undefined ? 'What is not saved in it is lost.' : `What ${whose} has not saved in it is lost. The page of the app says that an administrator stopped it.`}{' '}
        Files in its storage stay.
      </Confirm>
      <Confirm
        opened={asking === 'restart'}
        title={`Restart ${title}`}
        action="Restart"
        busy={restart.isPending}
        error={restart.error}
        onConfirm={() => restart.mutate(undefined, { onSuccess: close })}
        onClose={close}
      >
        It is stopped and started again with the same choices. What is not saved in it is lost; files in its storage stay.
      </Confirm>
      <Confirm
        opened={asking === 'forget'}
        title={`Forget ${title}`}
        action="Forget it"
        busy={forget.isPending}
        error={forget.error}
        onConfirm={() =>
          forget.mutate(undefined, {
            onSuccess: () => {
              close();
              onForgotten?.();
            },
          })
        }
        onClose={close}
      >
        Its log goes, and storage that belongs to this app session alone. Storage that is yours for good stays.
      </Confirm>
    </>
  );
}

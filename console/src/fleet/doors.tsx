import { Group } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { DoorOpen } from 'lucide-react';
import { useMemo } from 'react';
import { fleetAPI } from '../api/fleet';
import { may } from '../frame/may';
import { useMe } from '../frame/me-context';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Panel } from '../ui/panel';
import { DoorControl, DoorStatus, LiftControl, LiftStatus, useDoorStates, useLiftStates } from './devices';
import classes from './fleet.module.css';
import { useSilence } from './queries';

/** Doors and lifts: what they do, and asking them for something. */
export default function Doors() {
  const me = useMe();
  const doors = useQuery({ queryKey: ['fleet', 'doors'], queryFn: fleetAPI.doors, refetchInterval: 60_000 });
  const lifts = useQuery({
    queryKey: ['fleet', 'lifts'],
    queryFn: fleetAPI.lifts,
    refetchInterval: 60_000,
    enabled: may(me, 'fleet.lifts.read'),
  });
  const doorStates = useDoorStates(useMemo(() => (doors.data ?? []).map((d) => d.name), [doors.data]));
  const liftStates = useLiftStates(useMemo(() => (lifts.data ?? []).map((l) => l.name), [lifts.data]));
  const silent = useSilence();
  return (
    <PageView
      title="Doors & lifts"
      lead="A door that you open closes again when nobody holds it; a robot that needs it opens it by itself."
      freshness={<Freshness updatedAt={doors.dataUpdatedAt} failed={doors.isError} silent={silent} />}
    >
      <Answer query={doors} title="The doors could not be read">
        {(list) =>
          list.length === 0 && (lifts.data ?? []).length === 0 ? (
            <Panel>
              <Empty title="No doors or lifts" icon={DoorOpen}>
                The building map has none, or Lodge was not told of a map yet. It comes from RMF over the ROS bridge.
              </Empty>
            </Panel>
          ) : (
            <div className={classes.cards}>
              {(lifts.data ?? []).map((l) => (
                <Panel key={l.name} title={l.name} hint={l.levels.join(' · ')} actions={<LiftStatus state={liftStates.get(l.name)} />}>
                  <LiftControl lift={l} state={liftStates.get(l.name)} />
                </Panel>
              ))}
              {list.map((d) => (
                <Panel key={d.name} title={d.name} actions={<DoorStatus state={doorStates.get(d.name)} />}>
                  <Group>
                    <DoorControl door={d} state={doorStates.get(d.name)} />
                  </Group>
                </Panel>
              ))}
            </div>
          )
        }
      </Answer>
    </PageView>
  );
}

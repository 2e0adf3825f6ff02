import { Button, Group, SegmentedControl, Stack, Text, UnstyledButton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { ChevronLeft, Crosshair, Map as MapIcon, Send } from 'lucide-react';
import { memo, useCallback, useEffect, useMemo, useState } from 'react';
import { useNavigate, useSearchParams } from 'react-router';
import type { BuildingMap, Level } from '../api/types';
import { may } from '../frame/may';
import { useMe } from '../frame/me-context';
import { useFilters } from '../lib/address';
import { Answer } from '../ui/answer';
import { Empty } from '../ui/empty';
import { Freshness } from '../ui/freshness';
import { PageView } from '../ui/page';
import { Panel } from '../ui/panel';
import { Status, type Tone } from '../ui/status';
import { DoorControl, DoorStatus, LiftControl, LiftStatus, useDoorStates, useLiftStates } from './devices';
import type { Picture } from './geometry';
import classes from './map.module.css';
import { battery, destinationsOf, knownLook, type Robot, staleReason } from './model';
import { NewTaskDialog } from './new-task';
import { Plan } from './plan';
import { fleetQueries, useFleets, useSilence, useSiteNow } from './queries';
import { RobotView } from './robot-view';
import { parted } from './scene';

const defaults = { level: '', select: '', follow: '', list: 'robots' };

/** The building with everything that moves in it. */
export default function FleetMap() {
  const me = useMe();
  const map = useQuery({ ...fleetQueries.map(), retry: false });
  const silent = useSilence();
  const { query } = useFleets();
  return (
    <PageView title="Map" freshness={<Freshness updatedAt={Math.max(map.dataUpdatedAt, query.dataUpdatedAt)} failed={map.isError} silent={silent} />}>
      {map.error !== null && 'status' in map.error && map.error.status === 404 ? (
        <Panel>
          <Empty title="No building map yet" icon={MapIcon}>
            Lodge has not been told of a building. It comes from RMF over the ROS bridge: look at Site › Health whether the bridge is connected,
            and whether the building map server runs. The simulated site has one of its own.
          </Empty>
        </Panel>
      ) : (
        <Answer query={map} title="The map could not be read">
          {(building) => <Building map={building} />}
        </Answer>
      )}
      {may(me, 'fleet.tasks.submit') && <NewTaskDialog />}
    </PageView>
  );
}

function Building({ map }: { map: BuildingMap }) {
  const [filters, change] = useFilters(defaults);
  const { robots, names, query } = useFleets();
  const levels = useMemo(() => map.levels, [map]);
  const busiest = levels.find((l) => robots.some((r) => r.location?.map === l.name && r.status === 'working')) ?? levels[0];
  const [first, setFirst] = useState<string>();
  if (first === undefined && query.data !== undefined) setFirst(busiest?.name);
  const level = levels.find((l) => l.name === filters.level) ?? levels.find((l) => l.name === first) ?? levels[0];
  const lifts = useMemo(() => map.lifts, [map]);
  const doors = useMemo(() => levels.flatMap((l) => l.doors), [levels]);
  const doorStates = useDoorStates(useMemo(() => doors.map((d) => d.name), [doors]));
  const liftStates = useLiftStates(useMemo(() => lifts.map((l) => l.name), [lifts]));
  const now = useSiteNow();
  const stale = useMemo(() => new Set(robots.filter((r) => staleReason(r, now) !== undefined).map((r) => r.id)), [robots, now]);
  const pictures = usePictures(level);
  const levelOf = useCallback(
    (what: string): string | undefined => {
      const [kind, name = ''] = parted(what);
      if (kind === 'robot') return robots.find((r) => r.id === name)?.location?.map;
      if (kind === 'door') return levels.find((l) => l.doors.some((d) => d.name === name))?.name;
      if (kind === 'place') return destinationsOf(map).find((p) => p.name === name)?.level;
      return undefined;
    },
    [robots, levels, map],
  );
  const select = useCallback(
    (what: string, on?: string) => change({ select: what, follow: '', ...(on === undefined ? {} : { level: on }) }),
    [change],
  );
  const setFollow = useCallback((follow: boolean) => change({ follow: follow ? '1' : '' }), [change]);
  // A robot that is followed takes the view with it to the level it goes to.
  const followedTo = filters.follow === '1' ? levelOf(filters.select) : undefined;
  useEffect(() => {
    if (followedTo !== undefined && followedTo !== filters.level) change({ level: followedTo });
  }, [followedTo, filters.level, change]);

  if (level === undefined) {
    return (
      <Panel>
        <Empty title="The building has no levels" icon={MapIcon}>
          The building map came without a single level. Look at what the building map server loads.
        </Empty>
      </Panel>
    );
  }
  return (
    <div className={classes.layout}>
      <Panel padded={false}>
        <Group p="sm" justify="space-between" gap="xs">
          <SegmentedControl
            aria-label="Level"
            size="xs"
            value={level.name}
            onChange={(name) => change({ level: name, follow: '' })}
            data={levels.map((l) => ({ value: l.name, label: levelLabel(l, robots) }))}
          />
          <Text size="xs" c="dimmed">
            {map.name}
            {pictures.length === 0 && level.images.length > 0 ? ' · floor plan not loaded' : ''}
          </Text>
        </Group>
        <Plan
          key={level.name}
          level={level}
          lifts={lifts}
          pictures={pictures}
          robots={robots}
          stale={stale}
          fleets={names}
          doorStates={doorStates}
          liftStates={liftStates}
          selected={filters.select}
          follow={filters.follow === '1'}
          onSelect={select}
          onFollow={setFollow}
        />
      </Panel>
      <Panel padded={false}>
        <div className={classes.side} data-testid="side">
          {filters.select === '' ? (
            <>
              <Group p="sm">
                <SegmentedControl
                  aria-label="List"
                  size="xs"
                  fullWidth
                  flex={1}
                  value={filters.list}
                  onChange={(list) => change({ list })}
                  data={[
                    { value: 'robots', label: 'Robots' },
                    { value: 'doors', label: 'Doors & lifts' },
                    { value: 'places', label: 'Places' },
                  ]}
                />
              </Group>
              <div className={classes.sideBody}>
                {filters.list === 'robots' && <RobotList robots={robots} onSelect={select} />}
                {filters.list === 'doors' && (
                  <Entries>
                    {lifts.map((l) => (
                      <Entry key={l.name} name={l.name} note={l.levels.join(', ')} onSelect={() => select(`lift:${l.name}`)}>
                        <LiftStatus state={liftStates.get(l.name)} />
                      </Entry>
                    ))}
                    {doors.map((d) => (
                      <Entry key={d.name} name={d.name} note={levelOf(`door:${d.name}`) ?? ''} onSelect={() => select(`door:${d.name}`, levelOf(`door:${d.name}`))}>
                        <DoorStatus state={doorStates.get(d.name)} />
                      </Entry>
                    ))}
                  </Entries>
                )}
                {filters.list === 'places' && (
                  <Entries>
                    {destinationsOf(map).map((p) => (
                      <Entry key={p.name} name={p.name} note={p.charger ? 'charger' : (p.dispenser ?? p.ingestor ?? '')} onSelect={() => select(`place:${p.name}`, p.level)}>
                        <Text size="xs" c="dimmed">
                          {p.level}
                        </Text>
                      </Entry>
                    ))}
                  </Entries>
                )}
              </div>
            </>
          ) : (
            <div className={classes.sideBody}>
              <Stack gap="md" p="md">
                <Group gap="xs" wrap="nowrap">
                  <Button size="compact-sm" variant="subtle" color="gray" leftSection={<ChevronLeft size={14} aria-hidden />} onClick={() => select('')}>
                    All
                  </Button>
                  <Text fw={650} truncate>
                    {parted(filters.select)[1]?.split('/').at(-1)}
                  </Text>
                </Group>
                <Selected map={map} what={filters.select} robots={robots} doorStates={doorStates} liftStates={liftStates} follow={filters.follow === '1'} onFollow={setFollow} />
              </Stack>
            </div>
          )}
        </div>
      </Panel>
    </div>
  );
}

interface SelectedProps {
  map: BuildingMap;
  what: string;
  robots: readonly Robot[];
  doorStates: ReturnType<typeof useDoorStates>;
  liftStates: ReturnType<typeof useLiftStates>;
  follow: boolean;
  onFollow: (follow: boolean) => void;
}

function Selected({ map, what, robots, doorStates, liftStates, follow, onFollow }: SelectedProps) {
  const me = useMe();
  const [kind, name = ''] = parted(what);
  if (kind === 'robot') {
    const robot = robots.find((r) => r.id === name);
    if (robot !== undefined) {
      return (
        <RobotView robot={robot}>
          <Button
            size="compact-sm"
            variant={follow ? 'filled' : 'default'}
            aria-pressed={follow}
            leftSection={<Crosshair size={14} aria-hidden />}
            onClick={() => onFollow(!follow)}
          >
            {follow ? 'Following' : 'Follow'}
          </Button>
          {may(me, 'fleet.tasks.submit') && <SendButton given={{ robot: robot.id }} label="Send it…" />}
        </RobotView>
      );
    }
  }
  if (kind === 'door') {
    const door = map.levels.flatMap((l) => l.doors).find((d) => d.name === name);
    if (door !== undefined) {
      const state = doorStates.get(name);
      return (
        <>
          <div>
            <DoorStatus state={state} />
          </div>
          <DoorControl door={door} state={state} />
        </>
      );
    }
  }
  if (kind === 'lift') {
    const lift = map.lifts.find((l) => l.name === name);
    if (lift !== undefined) {
      const state = liftStates.get(name);
      return (
        <>
          <div>
            <LiftStatus state={state} />
          </div>
          <LiftControl lift={lift} state={state} />
        </>
      );
    }
  }
  const place = destinationsOf(map).find((p) => p.name === name);
  if (kind === 'place' && place !== undefined) {
    return (
      <>
        <Text size="sm" c="dimmed">
          {place.charger ? 'A charger' : 'A place'} on {place.level}
          {place.dispenser !== undefined && `, with the dispenser ${place.dispenser}`}
          {place.ingestor !== undefined && `, with the ingestor ${place.ingestor}`}.
        </Text>
        {may(me, 'fleet.tasks.submit') && (
          <div>
            <SendButton given={{ place: name }} label="Send a robot here" />
          </div>
        )}
      </>
    );
  }
  return <Empty title="It is not there any more">It may have left its fleet, or the map has changed.</Empty>;
}

function SendButton({ given, label }: { given: { place?: string; robot?: string }; label: string }) {
  const [search] = useSearchParams();
  const navigate = useNavigate();
  return (
    <Button
      size="compact-sm"
      leftSection={<Send size={14} aria-hidden />}
      onClick={() => {
        const next = new URLSearchParams(search);
        for (const [k, v] of Object.entries({ do: 'task', ...given })) next.set(k, v);
        void navigate(`/fleet/map?${next.toString()}`, { replace: true });
      }}
    >
      {label}
    </Button>
  );
}

function RobotList({ robots, onSelect }: { robots: readonly Robot[]; onSelect: (what: string, level?: string) => void }) {
  const now = useSiteNow();
  if (robots.length === 0) {
    return (
      <Empty title="No robots yet">
        No fleet adapter has reported. Connect one to /fleet/_internal with a token that may fleet.report, or start the simulated site.
      </Empty>
    );
  }
  return (
    <Entries>
      {robots.map((r) => {
        const stale = staleReason(r, now);
        const look = (r.issues ?? []).length > 0 ? { tone: 'bad' as const, word: 'needs help' } : knownLook(r, stale);
        return (
          <RobotEntry
            key={r.id}
            id={r.id}
            name={r.name}
            level={r.location?.map}
            note={stale === undefined ? `${r.location?.map ?? '?'} · ${battery(r)}` : `Stale: ${stale}`}
            stale={stale !== undefined}
            tone={look.tone}
            word={look.word}
            onSelect={onSelect}
          />
        );
      })}
    </Entries>
  );
}

interface RobotEntryProps {
  id: string;
  name: string;
  level: string | undefined;
  note: string;
  stale: boolean;
  tone: Tone;
  word: string;
  onSelect: (what: string, level?: string) => void;
}

/** Robots report many times a second, and an entry says little of it: it is drawn again when that has changed. */
const RobotEntry = memo(function RobotEntry({ id, name, level, note, stale, tone, word, onSelect }: RobotEntryProps) {
  return (
    <Entry name={name} note={note} stale={stale} onSelect={() => onSelect(`robot:${id}`, level)}>
      <Status tone={tone}>{word}</Status>
    </Entry>
  );
});

function Entries({ children }: { children: React.ReactNode }) {
  return <ul className={classes.list}>{children}</ul>;
}

function Entry({ name, note, stale, onSelect, children }: { name: string; note: string; stale?: boolean; onSelect: () => void; children: React.ReactNode }) {
  return (
    <li>
      <UnstyledButton className={classes.entry} onClick={onSelect} data-stale={stale}>
        <span>
          <Text size="sm" fw={550}>
            {name}
          </Text>
          <Text size="xs" c="dimmed">
            {note}
          </Text>
        </span>
        {children}
      </UnstyledButton>
    </li>
  );
}

function levelLabel(level: Level, robots: readonly Robot[]): string {
  const n = robots.filter((r) => r.location?.map === level.name).length;
  return n === 0 ? level.name : `${level.name} · ${n}`;
}

/** The floor plans of a level, once the browser has them. */
function usePictures(level: Level | undefined): readonly Picture[] {
  const [loaded, setLoaded] = useState<{ level: string; pictures: Picture[] }>({ level: '', pictures: [] });
  useEffect(() => {
    if (level === undefined) return undefined;
    let gone = false;
    for (const image of level.images) {
      // The map names them by the public address; here they come from where the page came from.
      const src = new URL(image.data, window.location.href).pathname;
      const picture = new Image();
      picture.onload = () => {
        if (gone) return;
        const one: Picture = { image: picture, x: image.x_offset, y: -image.y_offset, yaw: -image.yaw, scale: image.scale };
        setLoaded((old) => ({
          level: level.name,
          pictures: [...(old.level === level.name ? old.pictures.filter((p) => p.image.src !== picture.src) : []), one],
        }));
      };
      picture.src = src;
    }
    return () => {
      gone = true;
    };
  }, [level]);
  return loaded.level === level?.name ? loaded.pictures : none;
}

const none: readonly Picture[] = [];

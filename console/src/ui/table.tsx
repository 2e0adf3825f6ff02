import { Table } from '@mantine/core';
import { Children, cloneElement, createContext, isValidElement, useContext, type ReactElement, type ReactNode } from 'react';
import classes from './ui.module.css';

interface Column {
  readonly label: string;
  /** For the eyes the column needs no name. */
  readonly hidden?: boolean;
  readonly align?: 'right';
}

interface Props {
  /** What the table holds, for screen readers. */
  label: string;
  head: readonly (string | Column)[];
  minWidth?: number;
  /** On a phone each row becomes a card; a matrix stays a matrix. */
  cards?: boolean;
  children: ReactNode;
}

const Columns = createContext<readonly Column[]>([]);

/** A table that scrolls sideways in its own frame, by keyboard too; on a phone its rows are cards. */
export function DataTable({ label, head, minWidth = 640, cards = true, children }: Props) {
  const columns = head.map((h): Column => (typeof h === 'string' ? { label: h } : h));
  return (
    <Columns value={columns}>
      <div
        className={cards ? `${classes.scroll ?? ''} ${classes.cards ?? ''}` : classes.scroll}
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a scrolling region must be reachable by keyboard
        tabIndex={0}
        role="region"
        aria-label={label}
      >
        {/* The roles stand there because browsers forget them when a table is laid out as cards. */}
        <Table highlightOnHover miw={minWidth} fz="sm" role="table">
          <Table.Thead role="rowgroup">
            <Table.Tr role="row">
              {columns.map((c) => (
                <Table.Th key={c.label} scope="col" role="columnheader" ta={c.align}>
                  {c.hidden === true ? <span className="visually-hidden">{c.label}</span> : c.label}
                </Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody role="rowgroup">{children}</Table.Tbody>
        </Table>
      </div>
    </Columns>
  );
}

/** One row of a DataTable; its children are the cells, one for each column. */
export function Row({ children }: { children: ReactNode }) {
  const columns = useContext(Columns);
  return (
    <Table.Tr role="row">
      {Children.map(children, (cell, i) => {
        if (!isValidElement(cell)) return cell;
        const column = columns[i];
        const { props } = cell as ReactElement<{ children?: ReactNode }>;
        return cloneElement(
          cell as ReactElement<Record<string, unknown>>,
          { role: 'cell', 'data-label': column === undefined || column.hidden === true ? '' : column.label },
          <div>{props.children}</div>,
        );
      })}
    </Table.Tr>
  );
}

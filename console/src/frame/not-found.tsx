import { Button } from '@mantine/core';
import { Compass } from 'lucide-react';
import { Link } from 'react-router';
import { Empty } from '../ui/empty';
import { PageView } from '../ui/page';

export function NotFound() {
  return (
    <PageView title="No such page">
      <Empty
        title="There is nothing at this address"
        icon={Compass}
        action={
          <Button component={Link} to="/" variant="light">
            Go home
          </Button>
        }
      >
        The link may be old or mistyped. Press Ctrl K to search for what you look for.
      </Empty>
    </PageView>
  );
}

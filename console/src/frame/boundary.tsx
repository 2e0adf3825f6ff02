import { Component, type ReactNode } from 'react';
import { Problem } from '../ui/problem';

interface State {
  error: unknown;
}

/** Keeps a page that breaks from taking the frame with it, and says what to do. */
export class Boundary extends Component<{ children: ReactNode }, State> {
  override state: State = { error: undefined };

  static getDerivedStateFromError(error: unknown): State {
    return { error };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (error === undefined) return this.props.children;
    // A page's code that is gone from the server: the server was upgraded while this tab was open.
    if (error instanceof Error && /dynamically imported module|module script failed/i.test(error.message)) {
      return <Problem error={new Error('Lodge was upgraded while this page was open. Reload to go on.')} onRetry={reload} />;
    }
    return <Problem error={error} title="This page broke" onRetry={() => this.setState({ error: undefined })} />;
  }
}

function reload(): void {
  window.location.reload();
}

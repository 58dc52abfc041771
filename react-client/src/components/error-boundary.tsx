import { Component, type ReactNode } from 'react';

import styles from './error-boundary.module.css';

interface State {
  failure: string | null;
}

/** Says that the page failed, and why, where React would leave a blank one. */
export class ErrorBoundary extends Component<{ children: ReactNode }, State> {
  override state: State = { failure: null };

  static getDerivedStateFromError(error: unknown): State {
    return { failure: error instanceof Error ? error.message : String(error) };
  }

  override render() {
    if (this.state.failure === null) return this.props.children;
    return (
      <main className={styles.failure} role="alert">
        <h1>The page has failed</h1>
        <p>
          This is a fault in the page, not in your server. Reloading starts it afresh; the details
          are in the browser’s developer console.
        </p>
        <pre>{this.state.failure}</pre>
      </main>
    );
  }
}

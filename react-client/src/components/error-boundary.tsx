import { Component, type ReactNode } from 'react';

import button from './button.module.css';
import styles from './error-boundary.module.css';

interface Props {
  children: ReactNode;
  /** Which part it is that failed, such as "The chat"; by default the page. */
  part?: string;
}

interface State {
  failure: string | null;
}

/** Says that this part of the page failed, and why, where React would leave a blank one. */
export class ErrorBoundary extends Component<Props, State> {
  override state: State = { failure: null };

  static getDerivedStateFromError(error: unknown): State {
    return { failure: error instanceof Error ? error.message : String(error) };
  }

  override render() {
    const { children, part = 'The page' } = this.props;
    const { failure } = this.state;
    if (failure === null) return children;
    const isMissing = /dynamically imported module|module script|preload/i.test(failure);
    return (
      <section className={styles.failure} role="alert">
        <h2>{isMissing ? `${part} could not be loaded` : `${part} has failed`}</h2>
        <p>
          {isMissing
            ? 'It comes from the server whose page this is, which does not answer. Reload once it is back.'
            : 'This is a fault in the page, not in your server. What it holds is still there until you reload. The details are in the browser’s developer console.'}
        </p>
        <pre>{failure}</pre>
        {!isMissing && (
          <p>
            <button
              type="button"
              className={button.quiet}
              onClick={() => {
                this.setState({ failure: null });
              }}
            >
              Show it again
            </button>
          </p>
        )}
      </section>
    );
  }
}

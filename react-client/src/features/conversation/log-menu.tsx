import panel from '../../components/panel.module.css';

export interface LogActions {
  readonly exportNdjson: () => void;
  readonly exportCsv: () => void;
  readonly asScenario: () => void;
  readonly replay: () => void;
  readonly clear: () => void;
  readonly restartCounts: () => void;
}

/** What one does with a log now and then. */
export function LogMenu({ actions, close }: { actions: LogActions; close: () => void }) {
  const action = (name: string, note: string, run: () => void) => (
    <button
      type="button"
      className={panel.action}
      onClick={() => {
        close();
        run();
      }}
    >
      {name}
      <small>{note}</small>
    </button>
  );
  return (
    <div className={panel.actions}>
      {action('Export as NDJSON', 'All that the log holds, a line each', actions.exportNdjson)}
      {action('Export as CSV', 'The same for a spreadsheet', actions.exportCsv)}
      {action('As a scenario…', 'A script for the load generator', actions.asScenario)}
      {action('Replay an export…', 'Send its messages again', actions.replay)}
      {action('Clear the log', 'The counts go on', actions.clear)}
      {action('Count afresh', 'The log stays', actions.restartCounts)}
    </div>
  );
}

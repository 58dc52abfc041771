import button from '../../components/button.module.css';
import { formatCount, formatMilliseconds, formatPlural, formatTimeOfDay } from '../../lib/figures';
import { explainCloseCode } from './close-codes';
import { type CloseReport, explainClose } from './close-report';
import styles from './connection-notice.module.css';
import type { ConnectionNotice as Notice } from './connection-state';
import { commandsThatStartServer } from './server-commands';
import { StartServerHelp } from './start-server-help';

/** What happened to the connection, told in the conversation where it happened. */
export function ConnectionNotice(props: {
  notice: Notice;
  atMs: number;
  /** Of the server that has served this page; `null` where none has. */
  servedUrl?: string | null;
  /** Connects there through the server, which tells what a browser hides. */
  onFindOut?: ((url: string) => void) | undefined;
}) {
  const { notice, atMs, servedUrl = null, onFindOut } = props;
  const time = formatTimeOfDay(atMs, 'milliseconds');
  if (notice.kind === 'opened') {
    return (
      <p className={styles.opened}>
        <span>
          Connected to <code>{notice.url}</code> in {formatMilliseconds(notice.handshakeMs)}
          {notice.subprotocol !== '' && (
            <>
              {' · subprotocol '}
              <code>{notice.subprotocol}</code>
            </>
          )}
          {notice.extensions !== '' && (
            <>
              {' · '}
              <code>{notice.extensions}</code>
            </>
          )}
        </span>
        <time className={styles.time}>{time}</time>
      </p>
    );
  }
  if (notice.kind === 'failedAgain') {
    return (
      <p className={styles.opened}>
        <span>Attempt {formatCount(notice.attempt)} came to nothing</span>
        <time className={styles.time}>{time}</time>
      </p>
    );
  }
  if (notice.kind === 'ruleStopped') {
    return (
      <p className={styles.opened}>
        <span>
          Reply rule {notice.rule} was stopped until the next connection: after{' '}
          {formatCount(notice.replies)} replies in a short time it looks like a loop
        </span>
        <time className={styles.time}>{time}</time>
      </p>
    );
  }
  if (notice.kind === 'reloaded') {
    return (
      <p className={styles.opened}>
        <span>
          The page was loaded anew here
          {notice.left > 0 &&
            `; ${formatPlural(notice.left, 'older entry was', 'older entries were')} not kept`}
        </span>
        <time className={styles.time}>{time}</time>
      </p>
    );
  }
  const { report, lostCount } = notice;
  const told = { report, lostCount, time, servedUrl, onFindOut };
  return <CloseNotice {...told} />;
}

function CloseNotice(props: {
  report: CloseReport;
  lostCount: number;
  time: string;
  servedUrl: string | null;
  onFindOut: ((url: string) => void) | undefined;
}) {
  const { report, lostCount, time, servedUrl, onFindOut } = props;
  const isServed = servedUrl !== null && new URL(report.url).host === new URL(servedUrl).host;
  const { headline, meaning, advice } = explainClose(report, isServed);
  const isCalm = report.closedBy === 'page';
  /** A browser knows no more than this; the server, if it dials, does. */
  const isHidden = report.closedBy === 'unknown' && report.why === undefined;
  const commands =
    !report.hadOpened && report.closedBy !== 'page' && report.why === undefined
      ? commandsThatStartServer(report.url)
      : [];

  return (
    <section className={styles.closed} data-calm={isCalm} aria-label={headline}>
      <header className={styles.heading}>
        <h3>{headline}</h3>
        <time className={styles.time}>{time}</time>
      </header>
      {report.hadOpened ? (
        <p className={styles.code}>
          <code className={styles.chip}>{report.code}</code> {explainCloseCode(report.code).name}
          {report.reason !== '' && (
            <>
              {' · reason '}
              <q>{report.reason}</q>
            </>
          )}
        </p>
      ) : (
        <p className={styles.code}>
          <code>{report.url}</code>
        </p>
      )}
      <p>{meaning}</p>
      {advice !== undefined && <p>{advice}</p>}
      {isHidden && onFindOut !== undefined && (
        <p>
          <button
            type="button"
            className={button.smallQuiet}
            onClick={() => {
              onFindOut(report.url);
            }}
          >
            {report.hadOpened ? 'Connect again through the server' : 'Ask through the server'}
          </button>{' '}
          It sees the cause that the browser hides.
        </p>
      )}
      {lostCount > 0 && <p className={styles.lost}>{describeLoss(lostCount, isCalm)}</p>}
      {commands.length > 0 && (
        // Last, because the end of a conversation is what a small window shows.
        <StartServerHelp
          lead={
            isServed
              ? 'If this page’s server has stopped meanwhile, start it again:'
              : 'If no server runs there yet, start one:'
          }
          commands={commands}
        />
      )}
    </section>
  );
}

function describeLoss(lostCount: number, closedByPage: boolean): string {
  const messages = formatPlural(lostCount, 'message was', 'messages were');
  const cause = closedByPage
    ? ' Browsers discard replies that arrive after a page has asked to close.'
    : '';
  return `${messages} still unanswered, and ${lostCount === 1 ? 'counts' : 'count'} as lost.${cause}`;
}

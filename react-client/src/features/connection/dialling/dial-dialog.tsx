import { ModalDialog } from '../../../components/modal-dialog';
import { formatCount, formatMilliseconds, formatTimeOfDay } from '../../../lib/figures';
import styles from './dial-dialog.module.css';
import type { Dialled } from './dial-strip';
import { describePayload, firstLine, nameOpcode, stepOf } from './dial-words';
import type { CertificateFacts, DialStep, ToldFrame } from './told';

/** More rows than one looks through; the newest are those that one looks for. */
const SHOWN_FRAMES = 500;

/** All that the console tells of one connection: its steps, its handshake, its frames. */
export default function DialDialog(props: { dialled: Dialled; onClose: () => void }) {
  const { steps, frames, dropped, offsetMs } = props.dialled;
  const request = stepOf(steps, 'request');
  const response = stepOf(steps, 'response');
  const tls = stepOf(steps, 'tls');
  const end = stepOf(steps, 'closed');
  return (
    <ModalDialog title="Through the server" onClose={props.onClose}>
      {end !== undefined && (
        <p className={styles.end} data-calm={end.cause === 'closed'}>
          {capitalised(end.why)}. <code>{end.cause}</code>
        </p>
      )}
      <Steps steps={steps} />
      {tls !== undefined && tls.chain.length > 0 && (
        <section className={styles.part} aria-label="Certificates">
          <h3>Certificates</h3>
          {tls.chain.map((certificate, index) => (
            <Certificate key={index} certificate={certificate} />
          ))}
        </section>
      )}
      {request !== undefined && (
        <section className={styles.part} aria-label="Request">
          <h3>Request</h3>
          <pre className={styles.head}>{request.head.trimEnd()}</pre>
        </section>
      )}
      {response !== undefined && (
        <section className={styles.part} aria-label="Response">
          <h3>Response</h3>
          <pre className={styles.head}>{response.head}</pre>
          {response.body !== null && response.body !== '' && (
            <>
              <pre className={styles.head}>{response.body}</pre>
              {!response.whole && <p className={styles.note}>The body goes on.</p>}
            </>
          )}
        </section>
      )}
      <Frames frames={frames} dropped={dropped} offsetMs={offsetMs} />
    </ModalDialog>
  );
}

function Steps({ steps }: { steps: readonly DialStep[] }) {
  const rows: { name: string; ms: number; what: string }[] = [];
  const resolved = stepOf(steps, 'resolved');
  const connected = stepOf(steps, 'connected');
  const tls = stepOf(steps, 'tls');
  const response = stepOf(steps, 'response');
  if (resolved) rows.push({ name: 'DNS', ms: resolved.ms, what: resolved.addresses.join(', ') });
  if (connected) {
    const { address, port, failed } = connected;
    const others = failed.map((one) => `${one.address}: ${one.error}`);
    const what = [`${address}, port ${String(port)}`, ...others].join('; ');
    rows.push({ name: 'TCP', ms: connected.ms, what });
  }
  if (tls) {
    const trust = tls.verified ? 'certificate trusted' : (tls.problem ?? '');
    const mine = tls.client_certificate === null ? [] : [`as ${tls.client_certificate}`];
    const what = [tls.version, tls.cipher, trust, ...mine].filter(Boolean).join(' · ');
    rows.push({ name: 'TLS', ms: tls.ms, what });
  }
  if (response) rows.push({ name: 'Upgrade', ms: response.ms, what: firstLine(response.head) });
  if (rows.length === 0) return null;
  return (
    // A region that scrolls has to be reachable by keyboard.
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className={styles.scroll} role="region" aria-label="Steps" tabIndex={0}>
      <table className={styles.table}>
        <thead>
          <tr>
            <th scope="col">Step</th>
            <th scope="col">Took</th>
            <th scope="col">What</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ name, ms, what }) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>{formatMilliseconds(ms)}</td>
              <td className={styles.words}>{what}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Certificate({ certificate }: { certificate: CertificateFacts }) {
  const { subject, issuer, not_before: from, not_after: to, names } = certificate;
  return (
    <dl className={styles.facts}>
      <dt>Subject</dt>
      <dd>{subject === '' ? '–' : subject}</dd>
      <dt>Issuer</dt>
      <dd>{issuer}</dd>
      <dt>Valid</dt>
      <dd>
        {day(from)} to {day(to)}
      </dd>
      {names.length > 0 && (
        <>
          <dt>Names</dt>
          <dd>{names.join(', ')}</dd>
        </>
      )}
    </dl>
  );
}

function Frames(props: { frames: readonly ToldFrame[]; dropped: number; offsetMs: number }) {
  const { frames, offsetMs } = props;
  if (frames.length === 0) return null;
  const shown = frames.slice(-SHOWN_FRAMES);
  const hidden = props.dropped + frames.length - shown.length;
  return (
    <section className={styles.part} aria-label="Frames">
      <h3>Frames</h3>
      {hidden > 0 && <p className={styles.note}>{formatCount(hidden)} earlier are not shown.</p>}
      {/* A region that scrolls has to be reachable by keyboard. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div className={styles.scroll} role="region" aria-label="Table of frames" tabIndex={0}>
        <table className={styles.table}>
          <thead>
            <tr>
              <th scope="col">At</th>
              <th scope="col">Way</th>
              <th scope="col">Opcode</th>
              <th scope="col">Bits</th>
              <th scope="col">On the wire</th>
              <th scope="col">Plain</th>
              <th scope="col">Payload</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((frame, index) => (
              <tr key={hidden + index}>
                <td>{formatTimeOfDay(offsetMs + frame.t, 'milliseconds')}</td>
                <td>{frame.way === 'in' ? '↓ in' : '↑ out'}</td>
                <td>{nameOpcode(frame.opcode)}</td>
                <td>{bitsOf(frame)}</td>
                <td className={styles.figure}>{formatCount(frame.wire)}</td>
                <td className={styles.figure}>{formatCount(frame.plain)}</td>
                <td className={styles.words}>{describePayload(frame)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function bitsOf({ fin, rsv1, masked }: ToldFrame): string {
  const set = [fin && 'FIN', rsv1 && 'RSV1', masked && 'MASK'].filter(Boolean);
  return set.length === 0 ? '–' : set.join(' ');
}

function day(moment: string): string {
  return moment.slice(0, 10);
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

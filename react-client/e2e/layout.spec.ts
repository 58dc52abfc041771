import { startEchoServer } from './echo-server';
import { ChatPage, expect, test } from './fixtures';
import { layoutFaults, WINDOWS } from './layout-audit';
import { expectOrder, lastingFaults, ROOMY, SHOTS, sizeOf, takePictures } from './layout-states';

const LONG = 'unbroken'.repeat(40);

test.describe('nothing overlaps and nothing is cut off', () => {
  test.slow();

  test('in the chat, from the first view to the close', async ({ chat, ownServer: server }) => {
    const { page } = chat;
    await expectOrder(page, 'chat-welcome');
    await chat.connect('http://');
    await expect(page.getByRole('alert')).toBeVisible();
    await expectOrder(page, 'chat-bad-address');
    await chat.reconnectByItself(false);
    await chat.connectAndOpen(`${server.url}burst/2`);
    for (const text of ['hello', LONG, '{"type": "ping", "id": 7}', 'ça va ? 1 2']) {
      await chat.say(text);
    }
    await expect(chat.figure('Duplicate')).toHaveText('4');
    await expectOrder(page, 'chat-open');
    await page.getByRole('button', { name: 'Filter', exact: true }).click();
    await page.getByRole('button', { name: 'Latency', exact: true }).click();
    await expect(page.getByRole('figure', { name: 'Round trip' })).toBeVisible();
    await expectOrder(page, 'chat-filter-latency');
    await page.getByRole('button', { name: 'Filter', exact: true }).click();
    await page.getByRole('button', { name: 'Latency', exact: true }).click();
    await page.setViewportSize(WINDOWS[0]);
    await page.getByRole('button', { name: /all figures/ }).click();
    await expectOrder(page, 'chat-figures');
    await page.setViewportSize(WINDOWS[0]);
    await page.getByRole('button', { name: /all figures/ }).click();
    await server.stop();
    await expect(chat.log).toContainText('The server closed the connection');
    await chat.say('too late');
    await expect(page.getByRole('alert')).toBeVisible();
    await expectOrder(page, 'chat-closed');
    await chat.connect(server.url);
    await expect(chat.log).toContainText('No connection');
    await expectOrder(page, 'chat-refused');
  });

  test('in the panels and dialogs of the chat', async ({ chat, server }) => {
    const { page } = chat;
    await chat.connectAndOpen(server.url);
    await chat.say('{"a": {"b": [1, 2, 3]}}');
    await expect(chat.figure('Echoed')).toHaveText('1');
    for (const name of [
      'Connection options',
      'More for the log',
      'Saved messages',
      'Repeat this message',
    ]) {
      for (const window of WINDOWS) {
        await page.setViewportSize(window);
        await page.getByRole('button', { name, exact: true }).click();
        const panel = page.getByRole('dialog', { name });
        await expect(panel).toBeVisible();
        if (SHOTS !== undefined) {
          await takePictures(page, `panel-${name.replaceAll(' ', '-')}-${sizeOf(window)}`);
        }
        expect.soft(await lastingFaults(page, name), `${name}, ${sizeOf(window)}`).toEqual([]);
        await page.keyboard.press('Escape');
        await expect(panel).toBeHidden();
      }
    }
    await page.setViewportSize(ROOMY);
    await chat.log.getByRole('listitem').last().hover();
    await page.getByRole('button', { name: 'Details of reply to message 1' }).click();
    await expect(page.getByRole('dialog', { name: 'Message received' })).toBeVisible();
    await expectOrder(page, 'dialog-message');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Keyboard shortcuts' }).click();
    await expect(page.getByRole('dialog')).toBeVisible();
    await expectOrder(page, 'dialog-shortcuts');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Collection' }).click();
    const collection = page.getByRole('dialog', { name: 'Collection' });
    await collection.getByRole('textbox', { name: /^Save this chat/ }).fill(LONG);
    await collection.getByRole('button', { name: 'Save', exact: true }).click();
    await expect(collection.getByRole('listitem')).toBeVisible();
    await expectOrder(page, 'dialog-collection');
    await collection.getByRole('button', { name: /^Edit / }).click();
    const form = page.getByRole('form', { name: 'Saved connection' });
    for (const one of ['message', 'first message', 'reply rule', 'header']) {
      await form.getByRole('button', { name: `Add a ${one}`, exact: true }).click();
    }
    await form.getByRole('checkbox', { name: /^Send a message again/ }).check();
    await expectOrder(page, 'dialog-saved-connection');
    await form.getByRole('button', { name: 'Back' }).click();
    await collection.getByRole('button', { name: 'New environment' }).click();
    await expect(page.getByRole('form', { name: 'Environment' })).toBeVisible();
    await expectOrder(page, 'dialog-environment');
  });

  test('with several connections, trying again and sending by itself', async ({ chat }) => {
    const { page } = chat;
    const first = await startEchoServer();
    await chat.connectAndOpen(first.url);
    await first.stop();
    await expect(chat.log).toContainText('Attempt 2 came to nothing');
    await expect(page.getByRole('timer')).toBeVisible();
    await expectOrder(page, 'chat-retrying');
    await page.getByRole('button', { name: 'Stop trying' }).click();

    const second = await startEchoServer();
    await chat.connectAndOpen(second.url);
    await chat.message.fill('again and again');
    await page.getByRole('button', { name: 'Repeat this message' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Start' }).click();
    await expect(page.getByRole('button', { name: 'Stop', exact: true })).toBeVisible();
    await expectOrder(page, 'chat-repeating');
    await page.getByRole('button', { name: '+ Connection' }).click();
    const pane = page.getByRole('region', { name: 'Connection 2' });
    await pane.getByRole('button', { name: '+ Connection' }).click();
    await expectOrder(page, 'chat-three');
    await page.getByRole('button', { name: 'Side by side' }).click();
    await expectOrder(page, 'chat-side-by-side');
    await second.stop();
  });

  test('where the server dials', async ({ page, consoled }) => {
    const chat = new ChatPage(page);
    await chat.reconnectByItself(false);
    await chat.connect(`${consoled.url}status/418`);
    await page.getByRole('button', { name: 'Ask through the server' }).click();
    await expect(chat.log.getByText('The server answered with HTTP 418.')).toBeVisible();
    await expectOrder(page, 'chat-dial-refused');
    await page.getByRole('button', { name: 'Handshake and frames' }).click();
    const dialog = page.getByRole('dialog', { name: 'Through the server' });
    await expect(dialog.getByRole('region', { name: 'Response' })).toBeVisible();
    await expectOrder(page, 'dialog-dial-refused');
    await dialog.getByRole('button', { name: 'Close' }).click();
    for (const window of WINDOWS) {
      await page.setViewportSize(window);
      await page.getByRole('button', { name: 'Connection options' }).click();
      await expect(page.getByRole('textbox', { name: 'Cookies' })).toBeVisible();
      const state = `panel-dial-options-${sizeOf(window)}`;
      if (SHOTS !== undefined) await takePictures(page, state);
      expect.soft(await lastingFaults(page, state), state).toEqual([]);
      await page.keyboard.press('Escape');
    }
    await page.setViewportSize(ROOMY);
    await chat.connectAndOpen(`${consoled.url}info`);
    await chat.say(LONG);
    await expect(chat.figure('Echoed')).toHaveText('1');
    await expectOrder(page, 'chat-dial-open');
    await page.getByRole('button', { name: 'Handshake and frames' }).click();
    await expect(dialog.getByRole('region', { name: 'Table of frames' })).toBeVisible();
    await expectOrder(page, 'dialog-dial-frames');
  });

  test('in the server view', async ({ page, consoled }) => {
    await expect(page.getByRole('combobox', { name: 'Address' })).toHaveValue(consoled.url);
    await page.getByRole('tab', { name: 'Server' }).click();
    await expect(page.getByText('Live', { exact: true })).toBeVisible();
    await page.getByRole('button', { name: 'Show the tasks' }).click();
    await expect(page.getByText(/\d+ tasks at /)).toBeVisible();
    const beside = page.getByRole('figure', { name: 'Messages a second' });
    const heightBeside = async () => (await beside.boundingBox())?.height;
    const height = await heightBeside();
    await page.getByRole('figure', { name: 'Connections' }).getByText('Table').click();
    await expect(page.getByRole('region', { name: 'Table of Connections' })).toBeVisible();
    // A card whose table is open grows by itself.
    expect(await heightBeside()).toBe(height);
    await expectOrder(page, 'server-live');
    await consoled.stop();
    await expect(page.getByText(/Trying again in \d+ s/)).toBeVisible();
    await expectOrder(page, 'server-gone');
  });

  test('in the views that have no console', async ({ chat }) => {
    await chat.page.getByRole('tab', { name: 'Server' }).click();
    await expect(chat.page.getByText(/Trying again in \d+ s/)).toBeVisible();
    await expectOrder(chat.page, 'server-none');
    await chat.page.getByRole('tab', { name: 'Load' }).click();
    await expect(chat.page.getByRole('region', { name: /^No console/ })).toBeVisible();
    await expectOrder(chat.page, 'load-none');
  });

  test('before a console that wants its token', async ({ page }) => {
    const server = await startEchoServer({ console: true, token: 'open-sesame' });
    await page.goto(`${server.consoleUrl}#/load`);
    await expect(page.getByLabel(/The token that the server/)).toBeVisible();
    await expectOrder(page, 'load-locked');
    await server.stop();
  });

  test('in the load view, before, during and after runs', async ({ page, consoled }) => {
    expect(consoled.url).not.toBe('');
    const set = (label: string, text: string) =>
      page.getByRole('textbox', { name: label }).fill(text);
    const start = page.getByRole('button', { name: 'Start the run' });
    const verdict = page.getByRole('region', { name: 'Verdict' });
    const runs = page.getByRole('region', { name: 'Runs', exact: true }).getByRole('listitem');
    await page.getByRole('tab', { name: 'Load' }).click();
    await expect(start).toBeVisible();
    await expectOrder(page, 'load-empty');
    await set('Duration', '10');
    await start.click();
    await expect(page.getByRole('alert')).toBeVisible();
    await expectOrder(page, 'load-bad-value');
    await set('Sockets', '20');
    await set('Duration', '5m');
    await set('Fail if', 'latency.p99>0.001ms\nmessages.lost>0\nlatency.p50>10s');
    await start.click();
    await expect(page.getByRole('button', { name: 'Cancel the run' })).toBeVisible();
    await expect(page.getByRole('figure', { name: 'Throughput' })).toBeVisible();
    await expectOrder(page, 'load-running');
    await page.getByRole('button', { name: 'Cancel the run' }).click();
    await expect(verdict).toBeVisible();
    await expectOrder(page, 'load-interrupted');
    await set('Duration', '2s');
    await start.click();
    await expect(runs).toHaveCount(2);
    // Which of them it was is for the machine to say.
    await expect(runs.first()).toContainText(/Threshold breached|Generator-limited/);
    await expect(page.getByRole('figure', { name: 'Latency by percentile' })).toBeVisible();
    await expect(page.getByRole('region', { name: 'Figures compared' })).toBeVisible();
    await page.getByText('More settings').click();
    await expectOrder(page, 'load-two-runs');
    await set('Target', `${consoled.url}status/503`);
    await start.click();
    await expect(runs.first()).toContainText('Nothing opened');
    await expect(verdict).toContainText('Nothing opened');
    await expectOrder(page, 'load-nothing-opened');
  });
});

test('the layout test sees what covers, cuts off or sticks out', async ({ page }) => {
  await page.setContent(`<!doctype html>
    <p id="under" style="position: absolute; top: 0; left: 0; margin: 0">under</p>
    <p style="position: absolute; top: 0; left: 0; margin: 0; background: white">over it all</p>
    <div style="position: absolute; top: 100px; width: 40px; overflow: hidden; white-space: nowrap">
      much too long for this
    </div>
    <p style="position: absolute; top: 200px; left: 98vw; white-space: nowrap">out of the window</p>
    <button style="position: absolute; top: 400px; padding: 0; border: 0; line-height: 1">x</button>
    <div role="log" style="position: absolute; top: 500px; width: 40px; overflow: auto">
      <p style="white-space: nowrap">beside the log</p>
    </div>
    <div style="position: absolute; top: 600px; width: 40px; overflow: auto">
      <table><tr><td style="min-width: 90px">in three columns at most</td></tr></table>
    </div>
    <input placeholder="no room for these words" style="position: absolute; top: 300px; width: 40px">
  `);
  const faults = (await layoutFaults(page)).join('\n');
  expect(faults).toContain('is a target of');
  expect(faults).toContain('“under” is covered by');
  expect(faults).toContain('is cut off by');
  expect(faults).toContain('“beside the log” is cut off by');
  expect(faults).toContain('scrolls sideways, for few columns');
  expect(faults).toContain('sticks out of the window');
  expect(faults).toContain('scrolls sideways');
  expect(faults).toContain('has no room in');
});

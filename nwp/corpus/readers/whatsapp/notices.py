"""What WhatsApp itself writes into a chat, in the languages of the phones that export it."""

from __future__ import annotations


def _phrases(text: str) -> frozenset[str]:
    parts = text.casefold().replace("\n", "|").split("|")
    return frozenset(filter(None, map(str.strip, parts)))


OMITTED = _phrases("""
media omitted | image omitted | video omitted | audio omitted | sticker omitted
gif omitted | document omitted | contact card omitted | video note omitted
view once message omitted | video message omitted | voice message omitted
medien ausgeschlossen | medien weggelassen | bild weggelassen | video weggelassen
audio weggelassen | sticker weggelassen | gif weggelassen | dokument weggelassen
kontaktkarte ausgelassen | videonachricht weggelassen | multimedia omitido | imagen omitida
video omitido | audio omitido | sticker omitido | gif omitido | documento omitido
tarjeta de contacto omitida | archivo omitido | medios omitidos | nota de video omitida
médias omis | média omis | fichier omis | image absente | vidéo absente | audio omis
sticker omis | gif retiré | document manquant | fiche contact manquante | image omise
vidéo omise | media omessi | media omesso | immagine omessa | video omesso | audio omesso
sticker non incluso | gif esclusa | documento omesso | scheda contatto omessa
mídia omitida | mídia oculta | arquivo de mídia oculto | imagem ocultada | vídeo omitido
áudio ocultado | figurinha omitida | cartão do contato omitido | ficheiro não revelado
imagem não revelada | vídeo não revelado | ficheiro de áudio não revelado
sticker não revelado | gif não revelada | documento não revelado | contacto não revelado
media weggelaten | afbeelding weggelaten | audio weggelaten | document weggelaten
contactkaart weggelaten | без медиафайлов | файл пропущен | изображение отсутствует
видео отсутствует | аудиофайл отсутствует | стикер не добавлен | gif отсутствует
документ отсутствует | карточка контакта отсутствует | медіа пропущено | без медіафайлів
зображення відсутнє | відео відсутнє | аудіо відсутнє | наклейку не додано
gif-анімацію пропущено | документ пропущено | картка контакту відсутня
pominięto multimedia | pliki pominięto | multimedia pominięte | obraz pominięty
film pominięty | wideo pominięte | pominięto grafikę | pominięto film wideo
pominięto dźwięk | pominięto naklejkę | pominięto dokument | média vynechány
médiá vynechané | obrázek vynechán | video vynecháno | zvukový soubor vynechán
nálepka vynechána | gif vynechán | dokument vynechán | vizitka vynechána
medya dahil edilmedi | görüntü dahil edilmedi | video dahil edilmedi | ses dahil edilmedi
çıkartma dahil edilmedi | gif dahil edilmedi | belge dahil edilmedi
kişi kartı dahil edilmedi | media tidak disertakan | gambar tidak disertakan
video tidak disertakan | audio tidak disertakan | stiker tidak disertakan
gif tidak disertakan | dokumen tidak disertakan | kartu kontak tidak disertakan
media disingkirkan | media utelämnat | media har utelämnats | bild utelämnad
bilden utelämnades | ljud utelämnat | video utelämnad | mediafilen är utelämnad
medier udeladt | mediefil udeladt | media udeladt | billede udeladt | uten vedlegg
media utelatt | bilde utelatt | media jätettiin pois | media jätetty pois
mediatiedosto jätetty pois | kuva jätetty pois | video jätetty pois | ääni jätetty pois
tarra jätetty pois | hiányzó médiafájl | média elhagyva | kép kihagyva | videó kihagyva
conținut media omis | fișierul media omis | media omisă | imagine omisă
τα πολυμέσα παραλήφθηκαν | εξαίρεση πολυμέσων | αρχείο παραλήφθηκε | εικόνα παραλήφθηκε
המדיה לא נכללה | מדיה הושמטה | התמונה הושמטה | סרטון הווידאו הושמט | השמע הושמט
סטיקר הושמט | gif הושמט | המסמך הושמט | כרטיס איש קשר הושמט | تم استبعاد الوسائط
الوسائط غير مدرجة | لم يتم إدراج الصورة | لم يتم إدراج الفيديوهات
لم يتم إدراج المقاطع الصوتية | لم يتم إدراج بطاقة جهة اتصال | تم حذف الملصقات
لم يتم إدراج المستند | لم يتم إدراج صورة gif | میڈیا شامل نہیں ہے | मीडिया के बिना
मीडिया छोड़ा गया | फ़ोटो हटाई गई | वीडियो छोड़ा गया | ऑडियो हटाई गयी | स्टिकर छोड़ा गया
डॉक्यूमेंट छोड़ा गया | gif छोड़ा गया | कॉन्टैक्ट कार्ड छोड़ा गया | মিডিয়া বাদ দেওয়া হয়েছে
মিডিয়া বাদ দেয়া হয়েছে | மீடியா விலக்கப்பட்டது | మీడియా మినహాయించబడింది
bỏ qua tệp phương tiện | bỏ qua media | đã bỏ qua hình ảnh | đã bỏ video
bỏ qua tệp âm thanh | đã bỏ sticker | đã bỏ qua tài liệu | đã bỏ qua ảnh gif
bỏ qua thẻ liên lạc | ไฟล์สื่อถูกลบ | สื่อถูกลบ | ไม่มีรูปภาพ | วิดีโอถูกลบ | ไม่มีไฟล์เสียง
ไม่มีสติกเกอร์ | ละเว้นเอกสาร | ละเว้น gif | บัตรรายชื่อที่ละเว้น | メディアなし
メディアは含まれていません | 画像は含まれていません | ビデオは含まれていません
音声は含まれていません | スタンプは含まれていません | ドキュメントは含まれていません
gifは含まれていません | 連絡先カードを省略 | 미디어 파일 제외됨
미디어 파일을 제외한 텍스트 파일 | 미디어 파일을 생략한 대화내용 | 사진 생략됨
동영상 생략됨 | 省略多媒体文件 | 省略多媒體檔案 | 忽略多媒體檔 | 媒体文件已忽略 | 图像已忽略
图片已忽略 | 视频已忽略 | 音频已忽略 | 圖片已略去 | 影片已略去 | 音訊已略去 | 貼圖已略去
mitjans omesos | multimèdia omès | imatge omesa | medijska datoteka izostavljena
izostavljen medijski sadržaj | mediji izpuščeni | медия пропусната | медиите са пропуснати
мултимедија је изостављена | media uitgelaat | media weggelaat | meedia välja jäetud
mediji su izostavljeni | media imeachwa | nakatanggal ang media
""")
"""Instead of a picture, sound, film or file that was not exported."""

ATTACHED = _phrases("""
file attached | datei angehängt | archivo adjunto | fichier joint | file allegato
arquivo anexado | ficheiro anexado | bestand bijgevoegd | файл добавлен | файл додано
plik załączony | załączony plik | soubor byl přiložen | súbor pripojený | dosya ekli
file terlampir | fail dilampirkan | bifogad fil | fil vedhæftet | vedlagt fil
tiedosto liitetty | liitetiedosto | fájl csatolva | fișier atașat | συνημμένο αρχείο
קובץ מצורף | الملف مرفق | پیوست شد | منسلک فائل | پیوستہ فائل | फाइल संलग्न
फ़ाइल अटैच की गई | फाइल अटैच कर दी गई है | ফাইল সংযুক্ত হয়েছে | tệp đính kèm | ไฟล์ที่แนบ
添付ファイル有り | ファイル添付 | 파일 첨부됨 | 文件附件 | 附件檔案 | 檔案已附上
arxiu adjunt | priložena datoteka | datoteka u privitku | прикачен файл | прикачена датотека
prisegta byla | byla prisegta | pievienots fails | fail lisatud | skedë e ngjitur
lêer aangeheg | faili limeambatanishwa | nakalakip na file | archivo adjuntado
fayl biriktirildi | fayl əlavə olunub | қосымша файл | 文件已附加
""")
"""Behind a file's name, in brackets."""

DELETED = _phrases("""
this message was deleted | you deleted this message | this message has been deleted
message deleted | diese nachricht wurde gelöscht | du hast diese nachricht gelöscht
se eliminó este mensaje | eliminaste este mensaje | este mensaje fue eliminado
este mensaje se eliminó | mensaje eliminado | ce message a été supprimé
vous avez supprimé ce message | questo messaggio è stato eliminato
hai eliminato questo messaggio | mensagem apagada | esta mensagem foi apagada
essa mensagem foi apagada | você apagou esta mensagem | apagou esta mensagem
eliminou esta mensagem | esta mensagem foi eliminada | dit bericht is verwijderd
u hebt dit bericht verwijderd | je hebt dit bericht verwijderd | данное сообщение удалено
сообщение удалено | вы удалили данное сообщение | вы удалили это сообщение
это сообщение удалено | це повідомлення було видалено | повідомлення видалено
ви видалили це повідомлення | ta wiadomość została usunięta | usunięto tę wiadomość
ta wiadomość została usunięta przez ciebie | tato zpráva byla odstraněna
tuto zprávu jste odstranil/a | tato zpráva byla smazána | tuto zprávu jste smazal/a
táto správa bola odstránená | odstránili ste túto správu | bu mesaj silindi
bu mesajı sildiniz | pesan ini telah dihapus | pesan ini dihapus | anda menghapus pesan ini
anda telah menghapus pesan ini | mesej ini telah dipadam | anda telah memadam mesej ini
anda memadamkan mesej ini | meddelandet raderades | detta meddelande raderades
du raderade detta meddelande | du raderade meddelandet | denne besked blev slettet
du slettede denne besked | denne meldingen ble slettet | du slettet denne meldingen
tämä viesti poistettiin | poistit tämän viestin | ez az üzenet törlésre került
törölted ezt az üzenetet | ezt az üzenetet törölték | acest mesaj a fost șters
ai șters acest mesaj | autó το μήνυμα διαγράφηκε | αυτό το μήνυμα διαγράφηκε
διαγράψατε αυτό το μήνυμα | הודעה זו נמחקה | מחקת הודעה זו | הסרת הודעה זו
تم حذف هذه الرسالة | أنت حذفت هذه الرسالة | لقد حذَفت هذه الرسالة | لقد حذفت هذه الرسالة
حذفت هذه الرسالة | این پیام حذف شد | این پیام پاک شد | شما این پیام را حذف کردید
یہ پیغام حذف کر دیا گیا | آپ نے یہ پیغام حذف کر دیا | यह मैसेज डिलीट कर दिया गया है
आपने यह मैसेज डिलीट किया | यह संदेश हटा दिया गया था | आपने यह संदेश हटा दिया
এই মেসেজটি মুছে ফেলা হয়েছে | আপনি এই মেসেজটি মুছে ফেলেছেন | இந்தச் செய்தி நீக்கப்பட்டது
இந்த மெசேஜ் நீக்கப்பட்டது | tin nhắn này đã bị xóa | tin nhắn này đã bị xoá
bạn đã xóa tin nhắn này | bạn đã xoá tin nhắn này | ข้อความนี้ถูกลบแล้ว | ข้อความนี้ถูกลบ
คุณได้ลบข้อความนี้ | คุณลบข้อความนี้แล้ว | このメッセージは削除されました
このメッセージを削除しました | 삭제된 메시지입니다 | 이 메시지는 삭제되었습니다
이 메시지를 삭제했습니다 | 此消息已删除 | 该消息已被删除 | 您删除了这条消息
你删除了这条消息 | 您已删除此消息 | 此訊息已刪除 | 你已刪除此訊息 | 您已刪除此訊息
訊息已刪除 | 你已收回訊息 | 這則訊息已刪除 | s'ha suprimit aquest missatge
heu suprimit aquest missatge | aquest missatge s'ha eliminat | ova poruka je izbrisana
izbrisali ste ovu poruku | to sporočilo je bilo izbrisano | това съобщение беше изтрито
изтрихте това съобщение | ова порука је избрисана | hierdie boodskap is uitgevee
see sõnum kustutati | šis ziņojums tika izdzēsts | ši žinutė buvo ištrinta
ujumbe huu ulifutwa | na-delete ang mensaheng ito | dinelete mo ang mensaheng ito
""")
"""Instead of a message that was taken back."""

DELETED_BY = (
    "this message was deleted by admin",
    "diese nachricht wurde von admin",
    "diese nachricht wurde vom admin",
    "se eliminó este mensaje por el admin",
    "ce message a été supprimé par l'admin",
    "mensagem apagada pelo admin",
    "questo messaggio è stato eliminato dall'admin",
    "dit bericht is verwijderd door beheerder",
)
"""Before the name of the one who took a message back."""

EDITED = _phrases("""
this message was edited | diese nachricht wurde bearbeitet | se editó este mensaje
este mensaje fue editado | ce message a été modifié | questo messaggio è stato modificato
mensagem editada | esta mensagem foi editada | dit bericht is bewerkt
данное сообщение изменено | сообщение изменено | це повідомлення було відредаговано
повідомлення відредаговано | ta wiadomość została edytowana | ta wiadomość została zmieniona
wiadomość została edytowana | tato zpráva byla upravena | táto správa bola upravená
bu mesaj düzenlendi | pesan ini diedit | pesan ini telah diedit | mesej ini telah disunting
detta meddelande har redigerats | det här meddelandet har redigerats
meddelandet redigerades | denne besked blev redigeret | denne meldingen ble redigert
tätä viestiä muokattiin | tämä viesti on muokattu | tätä viestiä on muokattu
ezt az üzenetet szerkesztették | acest mesaj a fost editat
αυτό το μήνυμα υποβλήθηκε σε επεξεργασία | αυτό το μήνυμα τροποποιήθηκε | הודעה זו נערכה
ההודעה נערכה | تم تعديل هذه الرسالة | تم تعديل الرسالة | این پیام ویرایش شد
اس پیغام میں ترمیم کی گئی | यह मैसेज एडिट किया गया | यह मैसेज एडिट किया गया है
এই মেসেজটি এডিট করা হয়েছে | இந்த மெசேஜ் திருத்தப்பட்டது | tin nhắn này đã được chỉnh sửa
tin nhắn đã được chỉnh sửa | มีการแก้ไขข้อความนี้ | ข้อความนี้ถูกแก้ไข
ข้อความนี้ถูกแก้ไขแล้ว | このメッセージは編集されました | 이 메시지는 수정되었습니다
수정된 메시지입니다 | 此消息已编辑 | 该消息已编辑 | 此訊息已編輯 | 這則訊息已編輯
s'ha editat aquest missatge | aquest missatge s'ha editat | ova je poruka uređena
ova poruka je uređena | това съобщение беше редактирано | ова порука је измењена
to sporočilo je bilo urejeno
""")
"""Behind a message that was changed later, in angle brackets."""

PLACES = _phrases("""
location | live location | standort | ubicación | ubicació | localização | localisation
posizione | locatie | konum | lokasi | местоположение | місцезнаходження | розташування
lokalizacja | poloha | plats | position | placering | posisjon | plassering | sijainti
hely | helyzet | locație | locația | τοποθεσία | מיקום | موقع | الموقع | مکان | मौजूदा जगह
लोकेशन | स्थान | vị trí | ตำแหน่งที่ตั้ง | 位置情報 | 位置 | 위치 | lokacija
местоположение на | lokacija uživo
""")
"""Before the link to a place on a map."""

SHARED = _phrases("""
live location shared | liveteilung des standorts | live-standort wird geteilt
ubicación en tiempo real compartida | localisation en direct partagée
posizione attuale condivisa | localização em tempo real compartilhada | livelocatie gedeeld
waiting for this message | waiting for this message. this may take a while
missed voice call | missed video call | missed group voice call | missed group video call
verpasster sprachanruf | verpasster videoanruf | llamada perdida | videollamada perdida
llamada de voz perdida | appel vocal manqué | appel vidéo manqué | chiamata vocale persa
videochiamata persa | chamada de voz perdida | chamada de vídeo perdida
gemiste spraakoproep | gemiste video-oproep | пропущенный аудиозвонок
пропущенный видеозвонок | channel post
""")
"""Whole texts that are WhatsApp's own, though they stand under a name."""

NOTICES = tuple(
    _phrases("""
messages and calls are end-to-end encrypted
messages to this chat and calls are now secured with
messages to this group are now secured with | messages you send to this
your security code with | nachrichten und anrufe sind ende-zu-ende-verschlüsselt
nachrichten in diesem chat sowie anrufe sind | nachrichten in dieser gruppe sind jetzt
los mensajes y las llamadas están cifrados | los mensajes y llamadas están cifrados
las llamadas y mensajes enviados a este chat | les messages et les appels sont chiffrés
les messages et appels sont chiffrés | i messaggi e le chiamate sono crittografati
as mensagens e as chamadas são protegidas com | as mensagens e chamadas são encriptadas
as mensagens e ligações são protegidas | berichten en oproepen worden end-to-end
сообщения и звонки защищены сквозным | повідомлення й дзвінки захищено наскрізним
zprávy a hovory jsou | wiadomości i połączenia są szyfrowane
wiadomości i połączenia są w pełni szyfrowane | mesajlar ve aramalar uçtan uca şifrelidir
pesan dan panggilan terenkripsi secara end-to-end | meddelanden och samtal är end-to-end
meddelanden och samtal är totalsträckskrypterade | viestit ja puhelut ovat täysin salattuja
viestit ja puhelut salataan | az üzenetek és a hívások végpontok közötti
mesajele și apelurile sunt criptate | τα μηνύματα και οι κλήσεις | ההודעות והשיחות מוצפנות
الرسائل والمكالمات مشفرة | पیام‌ها و تماس‌ها | पیام ها | पیغامات | संदेश और कॉल
मैसेज और कॉल | मैसेजेस और कॉल्स एंड-टू-एंड | tin nhắn và cuộc gọi được mã hóa đầu cuối
ข้อความและการโทรได้รับการเข้ารหัส | メッセージと通話はエンドツーエンド
메시지와 통화는 종단간 암호화 | 消息和通话都进行端到端加密 | 訊息和通話經端對端加密
""")
)
"""How WhatsApp's word on encryption begins, where nothing else marks it."""

SYSTEM_PHRASES = tuple(
    f" {phrase} "
    for phrase in _phrases("""
created group | created this group | changed the subject | changed the group name
changed this group's | changed the group description | changed their phone number
joined using | hat die gruppe | hat den betreff | hat den gruppennamen | creó el grupo
cambió el asunto | cambió el nombre del grupo | a créé le groupe | a changé le sujet
a changé le nom du groupe | ha creato il gruppo | ha cambiato l'oggetto
ha cambiato il nome del gruppo | criou o grupo | mudou o nome do grupo | mudou o assunto
heeft de groep | heeft het onderwerp | heeft groep | создал группу | создал(-а) группу
создал(а) группу | изменил тему | изменил(-а) тему | grubunu oluşturdu | membuat grup
utworzył grupę | utworzył(a) grupę
""")
)
"""What stands in a line about a group, and in no name."""
